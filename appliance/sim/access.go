package sim

import (
	"net/url"
	"slices"
	"strings"
)

// Domains of what a device says against payloads about networks and links.
const (
	domainWiFi    = "MCWiFiErrorDomain"
	domainVPN     = "MCVPNErrorDomain"
	domainWebClip = "MCWebClipErrorDomain"
)

// Network is a Wi-Fi network that a device knows by a profile.
type Network struct {
	SSID, Security string
	Key            string // of the network
	User           string // the name that signs in
	ByCertificate  bool
	Profile        string // identifier of the profile it came with
}

// VPN is a connection that a device knows by a profile.
type VPN struct {
	Name, Server, User string
	ByCertificate      bool
	Secret             string // shared
	Always             bool   // connects by itself
	Profile            string
}

// WebLink is a link on the home screen, or in the Dock.
type WebLink struct {
	Label, URL string
	Icon       bool
	Profile    string
}

// checkWiFi holds a Wi-Fi payload against what joining needs.
func checkWiFi(b dict) *Refusal {
	ssid, kind := str(b, "SSID_STR"), str(b, "EncryptionType")
	if n := len(ssid); n == 0 || n > 32 {
		return refuse(domainWiFi, 13003, "A network name of %d bytes.", n)
	}
	if kind != "" && !slices.Contains([]string{"WEP", "WPA", "WPA2", "WPA3", "Any", "None"}, kind) {
		return refuse(domainPayload, 2004, "EncryptionType %q.", kind)
	}
	eap, enterprise := b["EAPClientConfiguration"].(dict)
	key := str(b, "Password")
	switch {
	case kind == "None" && (key != "" || enterprise):
		return refuse(domainWiFi, 13003, "An open network with a key.")
	case !enterprise && kind != "None" && (len(key) < 8 || len(key) > 64):
		return refuse(domainWiFi, 13002, "A key of %d characters.", len(key))
	case enterprise && key != "":
		return refuse(domainWiFi, 13004, "A key for a network to which people sign in.")
	}
	if enterprise {
		types, _ := eap["AcceptEAPTypes"].([]any)
		if len(types) == 0 {
			return refuse(domainWiFi, 13004, "No EAP type.")
		}
		for _, t := range types {
			n, _ := asInt(t)
			if !slices.Contains([]int{13, 17, 18, 21, 23, 25, 43}, n) {
				return refuse(domainWiFi, 13004, "EAP type %v.", t)
			}
			if n == 13 && str(b, "PayloadCertificateUUID") == "" {
				return refuse(domainWiFi, 13004, "EAP-TLS without an identity.")
			}
		}
	}
	if t := str(b, "ProxyType"); t == "Manual" && (str(b, "ProxyServer") == "" || num(b, "ProxyServerPort") == 0) {
		return refuse(domainWiFi, 13005, "A proxy without server or port.")
	}
	return nil
}

// vpnKeys are the keys of the dictionary inside a VPN payload of type IKEv2.
func vpnKeys() map[string]keySpec {
	return spec(`RemoteAddress:s! LocalIdentifier:s! RemoteIdentifier:s! AuthenticationMethod:s! PayloadCertificateUUID:s SharedSecret:s
		CertificateType:s ExtendedAuthEnabled:i AuthName:s AuthPassword:s OnDemandEnabled:i OnDemandRules:a DeadPeerDetectionRate:s EnablePFS:i
		IncludeAllNetworks:i ExcludeLocalNetworks:i IKESecurityAssociationParameters:D ChildSecurityAssociationParameters:D`)
}

func (r reader) checkVPN(b dict) *Refusal {
	if t := str(b, "VPNType"); t != "IKEv2" {
		return refuse(domainVPN, 15005, "VPNType %q.", t)
	}
	k, ok := b["IKEv2"].(dict)
	if !ok {
		return refuse(domainVPN, 15005, "No settings for IKEv2.")
	}
	if ref := r.checkKeys(domainPayload, 2000, "IKEv2", k, vpnKeys()); ref != nil {
		return ref
	}
	switch m := str(k, "AuthenticationMethod"); {
	case m == "Certificate" && str(k, "PayloadCertificateUUID") == "":
		return refuse(domainVPN, 15003, "No certificate to sign in with.")
	case m == "SharedSecret" && str(k, "SharedSecret") == "":
		return refuse(domainVPN, 15005, "No shared secret.")
	case m == "None" && num(k, "ExtendedAuthEnabled") != 1:
		return refuse(domainVPN, 15005, "Nobody signs in.")
	case m != "None" && m != "Certificate" && m != "SharedSecret":
		return refuse(domainVPN, 15005, "AuthenticationMethod %q.", m)
	}
	return nil
}

func checkWebClip(b dict) *Refusal {
	u, err := url.Parse(str(b, "URL"))
	if err != nil || u.Host == "" || str(b, "Label") == "" {
		return refuse(domainWebClip, 8000, "The link has no title or no address.")
	}
	if icon := data(b, "Icon"); len(icon) > 0 && !strings.HasPrefix(string(icon), "\x89PNG\r\n\x1a\n") {
		return refuse(domainWebClip, 8000, "The icon is not a PNG.")
	}
	return nil
}

// supervisedOnly are restrictions that an iPhone or iPad without supervision passes over.
func supervisedOnly() []string {
	return strings.Fields(`allowAirDrop allowCloudDocumentSync allowEraseContentAndSettings allowAccountModification allowAppInstallation allowAppRemoval
		allowUIConfigurationProfileInstallation allowVPNCreation`)
}

// access lists what the installed profiles bring besides accounts; d.mu is held.
func (d *Apple) access(s *State) {
	s.Restrictions = map[string]bool{}
	for _, i := range d.profiles {
		for _, pl := range i.payloads {
			b := pl.body
			switch pl.kind {
			case "com.apple.wifi.managed":
				n := Network{SSID: str(b, "SSID_STR"), Security: str(b, "EncryptionType"), Key: str(b, "Password"),
					ByCertificate: str(b, "PayloadCertificateUUID") != "", Profile: i.identifier}
				if eap, ok := b["EAPClientConfiguration"].(dict); ok {
					n.User = str(eap, "UserName")
				}
				s.Networks = append(s.Networks, n)
			case "com.apple.vpn.managed":
				k, _ := b["IKEv2"].(dict)
				s.VPNs = append(s.VPNs, VPN{Name: str(b, "UserDefinedName"), Server: str(k, "RemoteAddress"), User: str(k, "AuthName"),
					ByCertificate: str(k, "PayloadCertificateUUID") != "", Secret: str(k, "SharedSecret"), Always: num(k, "OnDemandEnabled") == 1, Profile: i.identifier})
			case "com.apple.webClip.managed":
				s.WebLinks = append(s.WebLinks, WebLink{Label: str(b, "Label"), URL: str(b, "URL"), Icon: len(data(b, "Icon")) > 0, Profile: i.identifier})
			case "com.apple.applicationaccess":
				for key, v := range b {
					on, isFlag := v.(bool)
					if isFlag && (d.hw.kind == Mac || d.supervised() || !slices.Contains(supervisedOnly(), key)) {
						s.Restrictions[key] = on
					}
				}
			}
		}
	}
}
