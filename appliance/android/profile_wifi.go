package android

import (
	"errors"
	"strings"

	"muster/appliance/fleet"
)

// wifi renders a network by Open Network Configuration, in the subset that Android Device Policy takes. Of an enterprise network the names of its
// servers and the root are always there: without them Android refuses it.
func (r *rendering) wifi(p *fleet.Profile) (tree, error) {
	v, err := fleet.Fill(p, r.person)
	if err != nil {
		return nil, err
	}
	net := map[string]any{"SSID": v.String("ssid"), "AutoConnect": v.Bool("auto_join")}
	if v.Bool("hidden") {
		net["HiddenSSID"] = true
	}
	switch v.String("security") {
	case "open":
		net["Security"] = "None"
	case "personal":
		net["Security"], net["Passphrase"] = "WPA-PSK", v.String("password")
	default:
		net["Security"] = "WPA-EAP"
		if net["EAP"], err = r.eap(v); err != nil {
			return nil, err
		}
	}
	network := map[string]any{"Name": v.String("ssid"), "Type": "WiFi", "WiFi": net}
	switch v.String("proxy") {
	case "manual":
		network["ProxySettings"] = map[string]any{"Type": "Manual", "Manual": map[string]any{"HTTPProxy": map[string]any{"Host": v.String("proxy_host"), "Port": v.Int("proxy_port")}}}
	case "auto":
		if s := v.String("proxy_url"); s != "" {
			network["ProxySettings"] = map[string]any{"Type": "PAC", "PAC": s}
		}
	}
	return tree{"openNetworkConfiguration": map[string]any{"NetworkConfigurations": map[string]any{"wifi-" + strings.ToLower(string(p.ID)): network}}}, nil
}

// eap is how one signs in to an enterprise network: with an identity of the same policy, or with a password that the person types on the device.
func (r *rendering) eap(v fleet.Values) (map[string]any, error) {
	out := map[string]any{"Outer": map[string]string{"tls": "EAP-TLS", "peap": "PEAP", "ttls": "EAP-TTLS"}[v.String("eap")], "Identity": v.String("user_name"),
		"DomainSuffixMatch": names(v.String("server_names"))}
	switch v.String("eap") {
	case "tls":
		p := fleet.ProfileID(v.String("identity"))
		if r.profiles[p] == nil {
			return nil, errors.New("the network's identity is not among the profiles")
		}
		out["Identity"], out["ClientCertType"], out["ClientCertRef"] = r.upn(), "Ref", alias(p)
	case "ttls":
		out["Inner"] = map[string]string{"mschapv2": "MSCHAPv2", "pap": "PAP"}[v.String("inner")]
	default:
		out["Inner"] = "MSCHAPv2"
	}
	if s := v.String("outer_identity"); s != "" {
		out["AnonymousIdentity"] = s
	}
	guid, ok := r.rootOf(fleet.ProfileID(v.String("root")))
	if !ok {
		return nil, errors.New("the network's root certificate is not among the profiles")
	}
	out["ServerCARefs"] = []any{guid}
	return out, nil
}

// names are the servers' names without the star that other platforms want before a domain: a suffix is matched here.
func names(s string) []any {
	var out []any
	for _, n := range strings.Fields(s) {
		out = append(out, strings.TrimPrefix(n, "*."))
	}
	return out
}

// rootOf is the name in the configuration of the certificate of a trusted-root profile.
func (r *rendering) rootOf(p fleet.ProfileID) (string, bool) {
	root := r.profiles[p]
	if root == nil {
		return "", false
	}
	part, err := r.trustedRoot(root)
	if err != nil {
		return "", false
	}
	onc, _ := asObject(part["openNetworkConfiguration"])
	certs, _ := asObject(onc["Certificates"])
	for guid := range certs {
		return guid, true
	}
	return "", false
}

// minutes is a number of hours as minutes of the day.
func minutes(hours int) int { return hours * 60 }
