package apple

import (
	"fmt"
	"strings"

	"muster/appliance/fleet"
)

const roleWiFi = "wifi"

// wifiPayload is a wireless network (com.apple.wifi.managed).
type wifiPayload struct {
	header
	SSID           string `plist:"SSID_STR"`
	Hidden         bool   `plist:"HIDDEN_NETWORK"`
	AutoJoin       bool
	EncryptionType string // WPA2 takes WPA3 as well (iOS 16, macOS 13)
	Password       string `plist:",omitempty"`

	PayloadCertificateUUID string     `plist:",omitempty"`
	EAPClientConfiguration *eapClient `plist:",omitempty"`

	ProxyType       string `plist:",omitempty"`
	ProxyServer     string `plist:",omitempty"`
	ProxyServerPort int    `plist:",omitempty"`
	ProxyPACURL     string `plist:",omitempty"`

	DisableAssociationMACRandomization bool `plist:",omitempty"` // iOS 14
}

// eapClient is how one signs in to an enterprise network. Anchors and names both switch off the question whether to trust the server, which
// people answer with yes. There is no password in it: the device asks for it when it joins.
type eapClient struct {
	AcceptEAPTypes               []int
	UserName                     string   `plist:",omitempty"`
	OuterIdentity                string   `plist:",omitempty"`
	TTLSInnerAuthentication      string   `plist:",omitempty"`
	PayloadCertificateAnchorUUID []string `plist:",omitempty"`
	TLSTrustedServerNames        []string `plist:",omitempty"`
	TLSMinimumVersion            string
}

// eapTypes are the numbers of the methods (IANA EAP registry) and ttlsInner Apple's names of what goes on inside TTLS.
var (
	eapTypes  = map[string]int{"tls": 13, "ttls": 21, "peap": 25}
	ttlsInner = map[string]string{"mschapv2": "MSCHAPv2", "pap": "PAP"}
)

func (r *rendering) wifi(p *fleet.Profile) ([]any, error) {
	v := r.settings[p.ID]
	out := wifiPayload{
		header:                             r.head("com.apple.wifi.managed", p, roleWiFi),
		SSID:                               v.String("ssid"),
		Hidden:                             v.Bool("hidden"),
		AutoJoin:                           v.Bool("auto_join"),
		EncryptionType:                     "None",
		Password:                           v.String("password"),
		DisableAssociationMACRandomization: v.Bool("fixed_mac") && r.platform != fleet.MacOS,
	}
	if v.String("security") != "open" {
		out.EncryptionType = "WPA2"
		if v.Bool("wpa3_only") {
			out.EncryptionType = "WPA3"
		}
	}
	switch v.String("proxy") {
	case "manual":
		out.ProxyType, out.ProxyServer, out.ProxyServerPort = "Manual", v.String("proxy_host"), v.Int("proxy_port")
	case "auto":
		out.ProxyType, out.ProxyPACURL = "Auto", v.String("proxy_url")
	}
	if v.String("security") != "enterprise" {
		return []any{out}, nil
	}
	anchor, err := r.uuidOf(fleet.TypeTrustedRoot, v.String("root"))
	if err != nil {
		return nil, err
	}
	eap := eapClient{
		AcceptEAPTypes:               []int{eapTypes[v.String("eap")]},
		UserName:                     v.String("user_name"),
		OuterIdentity:                v.String("outer_identity"),
		TTLSInnerAuthentication:      ttlsInner[v.String("inner")],
		PayloadCertificateAnchorUUID: []string{anchor},
		TLSTrustedServerNames:        strings.Fields(v.String("server_names")),
		TLSMinimumVersion:            "1.2",
	}
	if v.String("eap") == "tls" {
		if out.PayloadCertificateUUID, err = r.uuidOf(fleet.TypeIdentity, v.String("identity")); err != nil {
			return nil, err
		}
	}
	out.EAPClientConfiguration = &eap
	return []any{out}, nil
}

// uuidOf gives the PayloadUUID of a root or an identity that a payload refers to. It must be in the same profile: references resolve nowhere else.
func (r *rendering) uuidOf(t fleet.ProfileType, id string) (string, error) {
	p := r.profiles[fleet.ProfileID(id)]
	if p == nil || p.Type != t {
		return "", fmt.Errorf("%s %q is not in the same unit", t, id)
	}
	role := roleRoot
	if t == fleet.TypeIdentity {
		role = roleIdentity
	}
	return innerUUID(r.unit, p.ID, role), nil
}
