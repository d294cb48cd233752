package sim

import (
	"encoding/hex"
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
	}
	return 200
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
	if p.kid("DeviceTunnel").value() == "true" && (l.user() || r.d.hw.home()) {
		return 500
	}
	return 200
}
