package apple

import (
	"strconv"
	"strings"

	"muster/appliance/fleet"
)

const roleVPN = "vpn"

// vpnPayload is a connection into a private network (com.apple.vpn.managed).
type vpnPayload struct {
	header
	UserDefinedName string
	VPNType         string
	IKEv2           ikev2
}

// ikev2 holds the keys of Apple's IKEv2. What others call a flag is the number 0 or 1 here. There is no AuthPassword in it: the device asks.
type ikev2 struct {
	RemoteAddress                             string
	RemoteIdentifier                          string
	LocalIdentifier                           string
	AuthenticationMethod                      string // of the device itself; None with ExtendedAuthEnabled: the person signs in (EAP)
	CertificateType                           string `plist:",omitempty"`
	PayloadCertificateUUID                    string `plist:",omitempty"`
	SharedSecret                              string `plist:",omitempty"`
	ExtendedAuthEnabled                       int
	AuthName                                  string `plist:",omitempty"`
	DeadPeerDetectionRate                     string
	EnablePFS                                 int
	UseConfigurationAttributeInternalIPSubnet int
	IncludeAllNetworks                        int `plist:",omitempty"` // iOS 14, macOS 10.15
	ExcludeLocalNetworks                      int `plist:",omitempty"` // so that printers nearby stay in reach
	OnDemandEnabled                           int
	OnDemandRules                             []onDemand `plist:",omitempty"`
	IKESecurityAssociationParameters          association
	ChildSecurityAssociationParameters        association
}

// onDemand says what to do on a network: the first rule that fits counts.
type onDemand struct {
	Action         string
	DNSDomainMatch []string `plist:",omitempty"`
	SSIDMatch      []string `plist:",omitempty"`
}

type association struct {
	EncryptionAlgorithm string
	IntegrityAlgorithm  string
	DiffieHellmanGroup  int
	LifeTimeInMinutes   int
}

var (
	ikeEncryption = map[string]string{"aes-256-gcm": "AES-256-GCM", "aes-256-cbc": "AES-256"}
	ikeIntegrity  = map[string]string{"sha2-256": "SHA2-256", "sha2-384": "SHA2-384"}
)

func (r *rendering) vpn(p *fleet.Profile) ([]any, error) {
	v := r.settings[p.ID]
	group, err := strconv.Atoi(v.String("dh_group"))
	if err != nil {
		return nil, err
	}
	proposal := func(minutes int) association {
		return association{ikeEncryption[v.String("encryption")], ikeIntegrity[v.String("integrity")], group, minutes}
	}
	k := ikev2{
		RemoteAddress:         v.String("server"),
		RemoteIdentifier:      v.String("remote_id"),
		LocalIdentifier:       v.String("local_id"),
		DeadPeerDetectionRate: "Medium",
		EnablePFS:             oneIf(v.Bool("pfs")),
		UseConfigurationAttributeInternalIPSubnet: oneIf(v.String("traffic") == "server"),
		IncludeAllNetworks:                        oneIf(v.String("traffic") == "all"),
		ExcludeLocalNetworks:                      oneIf(v.String("traffic") == "all"),
		IKESecurityAssociationParameters:          proposal(1440),
		ChildSecurityAssociationParameters:        proposal(480),
	}
	if k.RemoteIdentifier == "" {
		k.RemoteIdentifier = k.RemoteAddress
	}
	switch v.String("sign_in") {
	case "certificate":
		k.AuthenticationMethod, k.CertificateType = "Certificate", "RSA"
		if k.PayloadCertificateUUID, err = r.uuidOf(fleet.TypeIdentity, v.String("identity")); err != nil {
			return nil, err
		}
	case "password":
		k.AuthenticationMethod, k.ExtendedAuthEnabled, k.AuthName = "None", 1, v.String("user_name")
	default:
		k.AuthenticationMethod, k.SharedSecret = "SharedSecret", v.String("secret")
	}
	if v.String("connect") == "always" {
		k.OnDemandEnabled = 1
		if domains := strings.Fields(v.String("home_domains")); len(domains) > 0 {
			k.OnDemandRules = append(k.OnDemandRules, onDemand{Action: "Disconnect", DNSDomainMatch: domains})
		}
		if ssid := v.String("home_network"); ssid != "" {
			k.OnDemandRules = append(k.OnDemandRules, onDemand{Action: "Disconnect", SSIDMatch: []string{ssid}})
		}
		k.OnDemandRules = append(k.OnDemandRules, onDemand{Action: "Connect"})
	}
	return []any{vpnPayload{r.head("com.apple.vpn.managed", p, roleVPN), p.Name, "IKEv2", k}}, nil
}

func oneIf(on bool) int {
	if on {
		return 1
	}
	return 0
}
