package sim

import (
	"crypto/x509"
	"encoding/hex"
	"slices"
	"strings"
)

// acceptWiFi reads a Wi-Fi profile as the WLAN service does.
func (r *dmRun) acceptWiFi(l pcLoc, data string) int {
	below := l.below()
	switch below[len(below)-1] {
	case "Proxy":
		return 500 // phones only
	case "WlanXml":
	default:
		return 200
	}
	p, err := parseXML([]byte(data))
	if err != nil || !p.is("http://www.microsoft.com/networking/WLAN/profile/v1", "WLANProfile") {
		return 500
	}
	ssid := p.at("SSIDConfig", "SSID")
	name := p.kid("name").value()
	raw, err := hex.DecodeString(ssid.kid("hex").value())
	auth := p.at("MSM", "security", "authEncryption")
	switch {
	case name == "" || name != below[1]:
		return 500
	case err != nil || len(raw) > 32 || ssid.kid("name").value() != "" && len(raw) > 0 && ssid.kid("name").value() != string(raw):
		return 500
	case auth == nil || !strings.Contains(" open WPA2PSK WPA3SAE WPA2 WPA3ENT WPA3ENT192 OWE WPAPSK WPA shared ", " "+auth.kid("authentication").value()+" "):
		return 500
	case !strings.Contains(" none AES GCMP256 TKIP WEP ", " "+auth.kid("encryption").value()+" "):
		return 500
	case auth.kid("useOneX").value() == "true":
		return r.acceptEAP(p.at("MSM", "security", "OneX", "EAPConfig", "EapHostConfig"))
	case auth.kid("authentication").value() == "WPA2PSK" || auth.kid("authentication").value() == "WPA3SAE":
		key := p.at("MSM", "security", "sharedKey")
		n := len(key.kid("keyMaterial").value())
		if kind := key.kid("keyType").value(); kind == "passPhrase" && (n < 8 || n > 63) || kind == "networkKey" && n != 64 || kind != "passPhrase" && kind != "networkKey" {
			return 500
		}
	}
	return 200
}

// acceptEAP reads how one signs in at a network, and complains of what would let the person be asked, or anybody pretend to be the network.
func (r *dmRun) acceptEAP(host *element) int {
	if host == nil || !host.is("http://www.microsoft.com/provisioning/EapHostConfig", "EapHostConfig") {
		return 500
	}
	kind := host.at("EapMethod", "Type").value()
	config := host.kid("Config")
	settings := config.at("Eap", "EapType")
	root := "TrustedRootCA"
	if kind == "21" {
		settings, root = config.kid("EapTtls"), "TrustedRootCAHash"
	} else if config.at("Eap", "Type").value() != kind {
		return 500
	}
	if settings == nil || !strings.Contains(" 13 21 25 ", " "+kind+" ") {
		return 500
	}
	server := settings.kid("ServerValidation")
	hash := strings.ToUpper(strings.ReplaceAll(server.kid(root).value(), " ", ""))
	if !hashName.MatchString(hash) {
		return 500
	}
	known := r.d.tree.trusted()
	if r.s.m != nil {
		known = append(known, r.s.m.roots...)
	}
	if !slices.ContainsFunc(known, func(c *x509.Certificate) bool { return thumbprint(c.Raw) == hash }) {
		r.note("a network's server is to be known by a root that is not on the PC")
	}
	if server.kid("ServerNames").value() == "" {
		r.note("a network's server is to be known by no name")
	}
	return 200
}

// asWindowsKeeps is how the WLAN service gives a profile back: with its key encrypted to the machine, and with what later schemas add.
func asWindowsKeeps(profile string) string {
	if before, rest, ok := strings.Cut(profile, "<protected>false</protected><keyMaterial>"); ok {
		if _, after, ok := strings.Cut(rest, "</keyMaterial>"); ok {
			profile = before + "<protected>true</protected><keyMaterial>01000000D08C9DDF0115D1118C7A00C04FC297EB</keyMaterial>" + after
		}
	}
	more := `<MacRandomization xmlns="http://www.microsoft.com/networking/WLAN/profile/v3"><enableRandomization>false</enableRandomization></MacRandomization></WLANProfile>`
	return `<?xml version="1.0"?>` + "\n" + strings.Replace(profile, "</WLANProfile>", more, 1)
}

// acceptVPN reads a VPN profile.
func (r *dmRun) acceptVPN(l pcLoc, data string) int {
	if l.segs[len(l.segs)-1] != "ProfileXML" {
		return 200
	}
	p, err := parseXML([]byte(data))
	if err != nil || p.name != "VPNProfile" {
		return 500
	}
	if p.kid("NativeProfile") == nil && p.kid("PluginProfile") == nil {
		return 500
	}
	if native := p.kid("NativeProfile"); native != nil && (native.kid("Servers").value() == "" || native.kid("NativeProtocolType").value() == "") {
		return 500
	}
	if host := p.at("NativeProfile", "Authentication", "Eap", "Configuration", "EapHostConfig"); host != nil {
		if code := r.acceptEAP(host); code != 200 {
			return code
		}
	}
	if p.kid("DeviceTunnel").value() == "true" && (l.user() || r.d.hw.home()) {
		return 500
	}
	return 200
}
