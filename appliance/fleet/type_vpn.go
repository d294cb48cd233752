package fleet

import "slices"

// TypeVPN is a connection into a private network by IKEv2 (RFC 7296), which iPhone, iPad, Mac and Windows have built in; what needs an app of
// its maker, and the old L2TP and PPTP, are not offered. A person's password is never part of it: the device asks for it.
//
// Apple renders it as com.apple.vpn.managed with VPNType IKEv2.
func vpnDeclaration() Declaration {
	apple := []Platform{IOS, IPadOS, MacOS}
	return Declaration{
		Type:     TypeVPN,
		Targets:  targetsOf(TypeVPN),
		NameHint: "profile.vpn.name-hint",
		Check:    checkVPN,
		Fields: []Field{
			{Key: "server", Kind: KindHost, Required: true, Group: "server"},
			// remote_id is the name that the server proves by its certificate; empty: the same as server.
			{Key: "remote_id", Kind: KindText, Max: 200, Platforms: apple, Group: "server", Advanced: true},

			{Key: "sign_in", Kind: KindChoice, Default: "certificate", Required: true, Options: []string{"certificate", "password", "secret"}, Group: "sign-in"},
			{Key: "identity", Kind: KindProfile, RefType: TypeIdentity, Required: true, When: "sign_in=certificate", Group: "sign-in"},
			{Key: "user_name", Kind: KindText, Default: "{{upn}}", Required: true, Max: 200, Template: true, Platforms: append(slices.Clone(apple), Android), When: "sign_in=password", Group: "sign-in"}, // Windows asks for it
			{Key: "secret", Kind: KindSecret, Required: true, Min: 8, Max: 200, Platforms: apple, When: "sign_in=secret", KeptWith: "server", Group: "sign-in"},
			// root is who issued the server's certificate: the device must trust it.
			{Key: "root", Kind: KindProfile, RefType: TypeTrustedRoot, Required: true, When: "sign_in=certificate|password", Group: "sign-in"},
			// local_id is the name by which the device calls itself.
			{Key: "local_id", Kind: KindText, Default: "{{upn}}", Required: true, Max: 200, Template: true, Platforms: apple, Group: "sign-in", Advanced: true},

			// "server": what the server says goes through it; "all": everything.
			{Key: "traffic", Kind: KindChoice, Default: "server", Required: true, Options: []string{"server", "all"}, Group: "use"},
			{Key: "connect", Kind: KindChoice, Default: "person", Required: true, Options: []string{"person", "always"}, Group: "use"},
			// At home no connection is made: networks that give one of these DNS domains, or are called so.
			{Key: "home_domains", Kind: KindHosts, Max: 500, When: "connect=always", Group: "use"},
			{Key: "home_network", Kind: KindText, Max: 32, Platforms: apple, When: "connect=always", Group: "use"},

			{Key: "encryption", Kind: KindChoice, Default: "aes-256-gcm", Required: true, Options: []string{"aes-256-gcm", "aes-256-cbc"}, Group: "proposal", Advanced: true},
			{Key: "integrity", Kind: KindChoice, Default: "sha2-256", Required: true, Options: []string{"sha2-256", "sha2-384"}, Group: "proposal", Advanced: true},
			{Key: "dh_group", Kind: KindChoice, Default: "14", Required: true, Options: []string{"14", "19", "20"}, Group: "proposal", Advanced: true},
			{Key: "pfs", Kind: KindBool, Default: true, Group: "proposal", Advanced: true},
		},
	}
}

func checkVPN(v Values) map[string]Reason {
	if len(v.String("home_network")) > 32 {
		return map[string]Reason{"home_network": Why("wifi.name-too-long")}
	}
	return nil
}
