package fleet

import "slices"

// TypeWiFi is a wireless network. Of enterprise networks the password is never part of it: the person types it on the device, as with mail (B6).
//
// "personal" and "enterprise" mean WPA2 or WPA3, whichever both sides know; wpa3_only leaves older devices out. Apple renders it as
// com.apple.wifi.managed.
func wifiDeclaration() Declaration {
	apple := []Platform{IOS, IPadOS, MacOS}
	return Declaration{
		Type:     TypeWiFi,
		Targets:  targetsOf(TypeWiFi),
		NameHint: "profile.wifi.name-hint",
		Check:    checkWiFi,
		Fields: []Field{
			{Key: "ssid", Kind: KindText, Required: true, Max: 32, Group: "network"},
			{Key: "hidden", Kind: KindBool, Default: false, Group: "network"},
			{Key: "auto_join", Kind: KindBool, Default: true, Group: "network"},
			{Key: "fixed_mac", Kind: KindBool, Default: false, Platforms: apple[:2], Group: "network", Advanced: true},

			{Key: "security", Kind: KindChoice, Default: "personal", Required: true, Options: []string{"open", "personal", "enterprise"}, Group: "security"},
			{Key: "password", Kind: KindSecret, Required: true, Min: 8, Max: 64, When: "security=personal", KeptWith: "ssid", Group: "security"},
			{Key: "wpa3_only", Kind: KindBool, Default: false, When: "security=personal|enterprise", Group: "security"},

			// How one signs in to an enterprise network (802.1X).
			{Key: "eap", Kind: KindChoice, Default: "tls", Required: true, Options: []string{"tls", "peap", "ttls"}, When: "security=enterprise", Group: "sign-in"},
			{Key: "identity", Kind: KindProfile, RefType: TypeIdentity, Required: true, When: "eap=tls", Group: "sign-in"},
			{Key: "user_name", Kind: KindText, Default: "{{upn}}", Required: true, Max: 200, Template: true, Platforms: append(slices.Clone(apple), Android), When: "eap=peap|ttls", Group: "sign-in"}, // Windows asks for it
			{Key: "inner", Kind: KindChoice, Default: "mschapv2", Required: true, Options: []string{"mschapv2", "pap"}, When: "eap=ttls", Group: "sign-in"},
			{Key: "outer_identity", Kind: KindText, Max: 200, Template: true, When: "eap=peap|ttls", Group: "sign-in", Advanced: true},
			// What tells the true network from a false one of the same name: who signs its server's certificate, and the names in it.
			{Key: "root", Kind: KindProfile, RefType: TypeTrustedRoot, Required: true, When: "security=enterprise", Group: "server"},
			{Key: "server_names", Kind: KindHosts, Required: true, Max: 500, When: "security=enterprise", Group: "server"},

			{Key: "proxy", Kind: KindChoice, Default: "none", Required: true, Options: []string{"none", "manual", "auto"}, Group: "proxy"},
			{Key: "proxy_host", Kind: KindHost, Required: true, When: "proxy=manual", Group: "proxy"},
			{Key: "proxy_port", Kind: KindPort, Default: 8080, Required: true, When: "proxy=manual", Group: "proxy"},
			{Key: "proxy_url", Kind: KindURL, When: "proxy=auto", Group: "proxy"}, // of the script; empty: the network tells
		},
	}
}

// checkWiFi holds what IEEE 802.11 says of names (32 octets, not characters) and of keys: 8 to 63 printable ASCII characters, or 64 digits.
func checkWiFi(v Values) map[string]Reason {
	bad := map[string]Reason{}
	if len(v.String("ssid")) > 32 {
		bad["ssid"] = Why("wifi.name-too-long")
	}
	key := v.String("password")
	for _, r := range key {
		hex := r >= '0' && r <= '9' || r >= 'a' && r <= 'f' || r >= 'A' && r <= 'F'
		if r < ' ' || r > '~' || len(key) == 64 && !hex {
			bad["password"] = Why("wifi.key-characters")
		}
	}
	return bad
}

// networkKey is what tells networks apart on a device.
func networkKey(v Values) string { return "wifi\x00" + v.String("ssid") }
