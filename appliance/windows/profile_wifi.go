package windows

import (
	"encoding/hex"
	"net"
	"strconv"

	"muster/appliance/fleet"
)

const wifiNode = "./Device/Vendor/MSFT/WiFi/Profile/"

const wlanProfile = `<WLANProfile xmlns="http://www.microsoft.com/networking/WLAN/profile/v1"><name>{{name}}</name>` +
	`<SSIDConfig><SSID><hex>{{hex}}</hex><name>{{name}}</name></SSID><nonBroadcast>{{hidden}}</nonBroadcast></SSIDConfig>` +
	`<connectionType>ESS</connectionType><connectionMode>{{mode}}</connectionMode><autoSwitch>false</autoSwitch>` +
	`<MSM><security><authEncryption><authentication>{{authentication}}</authentication><encryption>{{encryption}}</encryption><useOneX>{{onex}}</useOneX></authEncryption>` +
	`{{{more}}}</security></MSM></WLANProfile>`

const wlanKey = `<sharedKey><keyType>{{type}}</keyType><protected>false</protected><keyMaterial>{{key}}</keyMaterial></sharedKey>`

const wlanOneX = `<OneX xmlns="http://www.microsoft.com/networking/OneX/v1"><authMode>user</authMode><EAPConfig>{{{eap}}}</EAPConfig></OneX>`

// wifi renders a network for everybody on the PC: it can be joined before anybody signs in, and removed when nobody is. Its name is that of the
// network, in the node, in the profile and in hex, which must agree. A proxy with a fixed address is a matter of phones (WiFi CSP, Proxy).
func (r *rendering) wifi(p *fleet.Profile) (*rendered, error) {
	v, err := fleet.Fill(p, r.order.Person)
	if err != nil {
		return nil, err
	}
	ssid := v.String("ssid")
	auth, encryption, onex, more := "open", "none", "false", ""
	switch v.String("security") {
	case "personal":
		auth, encryption = "WPA2PSK", "AES"
		if v.Bool("wpa3_only") {
			auth = "WPA3SAE"
		}
		key, kind := v.String("password"), "passPhrase"
		if len(key) == 64 { // 256 bits in hex
			kind = "networkKey"
		}
		more = string(fill(wlanKey, "type", kind, "key", key))
	case "enterprise":
		auth, encryption, onex = "WPA2", "AES", "true"
		if v.Bool("wpa3_only") {
			auth = "WPA3ENT"
		}
		root, err := r.rootOf(v.String("root"))
		if err != nil {
			return nil, err
		}
		config, err := r.eapConfig(eap{method: v.String("eap"), names: v.String("server_names"), root: root, inner: v.String("inner"), outer: v.String("outer_identity")})
		if err != nil {
			return nil, err
		}
		more = fillRaw(wlanOneX, "eap", config)
	}
	mode := "manual"
	if v.Bool("auto_join") {
		mode = "auto"
	}
	xml := fillRaw(string(fill(wlanProfile, "name", ssid, "hex", hexOf(ssid), "hidden", strconv.FormatBool(v.Bool("hidden")), "mode", mode,
		"authentication", auth, "encryption", encryption, "onex", onex)), "more", more)
	base := wifiNode + segment(ssid)
	out := &rendered{batches: put(base+"/WlanXml", "chr", xml, 0), checks: []check{{URI: base + "/WlanXml", Want: withoutKey(xml), Kind: "xml"}}, nodes: []string{base}}
	if v.String("proxy") == "auto" {
		leaf, format, value := base+"/ProxyWPAD", "bool", "true"
		if u := v.String("proxy_url"); u != "" {
			leaf, format, value = base+"/ProxyPacUrl", "chr", u
		}
		out.batches = append(out.batches, put(leaf, format, value, len(out.batches))...)
		out.checks = append(out.checks, check{URI: leaf, Want: value})
		out.nodes = []string{leaf, base} // a version without it deletes the leaf alone
	}
	return out, nil
}

// wifiApplies says what of a network Windows cannot be told.
func wifiApplies(v fleet.Values) (bool, fleet.Reason) {
	if v.String("proxy") == "manual" {
		return false, why("windows.not-applicable.wifi-proxy", "proxy", net.JoinHostPort(v.String("proxy_host"), strconv.Itoa(v.Int("proxy_port"))))
	}
	return true, fleet.Reason{}
}

func hexOf(s string) string { return hex.EncodeToString([]byte(s)) }
