package fleet

import (
	"crypto/x509/pkix"
	"slices"
	"strconv"
	"time"
)

// TypeIdentity is an identity certificate from the internal CA, for one person on one device (B7).
func identityDeclaration() Declaration {
	return Declaration{
		Type:      TypeIdentity,
		Targets:   targetsOf(TypeIdentity),
		PerPerson: true,
		NameHint:  "profile.identity.name-hint",
		Check:     checkIdentity,
		Fields: []Field{
			{Key: "purpose", Kind: KindChoice, Default: "mail", Required: true, Options: []string{"mail", "wifi", "vpn", "general"}, Group: "purpose"},
			{Key: "root", Kind: KindProfile, RefType: TypeTrustedRoot, Required: true, Group: "purpose"},
			{Key: "common_name", Kind: KindText, Default: "{{upn}}", Required: true, Max: 64, Template: true, Group: "subject"},
			{Key: "organisation", Kind: KindText, Max: 64, Template: true, Group: "subject"},
			{Key: "unit", Kind: KindText, Max: 64, Template: true, Group: "subject"},
			{Key: "san_mail", Kind: KindBool, Default: true, Group: "subject"},
			{Key: "san_upn", Kind: KindBool, Default: true, Group: "subject"},
			// "scep": the device makes its key, which never leaves it. "pkcs12": we make key and certificate and send both, for devices that do
			// not come through to SCEP, and for Android, which has no SCEP of its own. "mixed": as "pkcs12" on Android, and as "scep" elsewhere.
			{Key: "delivery", Kind: KindChoice, Default: DeliverSCEP, Required: true, Options: []string{DeliverSCEP, DeliverMixed, DeliverPKCS12}, Platforms: []Platform{IOS, IPadOS, MacOS, Windows, Android}, Group: "key", Advanced: true},
			{Key: "key_size", Kind: KindChoice, Default: "2048", Required: true, Options: []string{"2048", "4096"}, Group: "key"},
			{Key: "key_usage", Kind: KindChoice, Default: "both", Required: true, Options: []string{"signature", "encipherment", "both"}, Group: "key"},
			{Key: "lifetime", Kind: KindDays, Default: 365, Min: 30, Max: 825, Group: "key"},
			{Key: "renew_before", Kind: KindDays, Default: 30, Min: 7, Max: 180, Group: "key"},
		},
	}
}

// Ways in which an identity reaches a device.
const (
	DeliverSCEP   = "scep"
	DeliverMixed  = "mixed"
	DeliverPKCS12 = "pkcs12"
)

// PackedIdentity is a key with its certificate, made for one order.
type PackedIdentity struct {
	PKCS12      []byte
	Password    string
	Certificate []byte // DER
	Fingerprint string
}

func checkIdentity(v Values) map[string]Reason {
	if v.String("delivery") != DeliverSCEP && v.String("key_size") != "2048" {
		return map[string]Reason{"key_size": Why("identity.file-key")}
	}
	if life, before := v.Int("lifetime"), v.Int("renew_before"); life > 0 && before*2 > life {
		return map[string]Reason{"renew_before": Why("identity.renewed-too-early", "lifetime", strconv.Itoa(life))}
	}
	return nil
}

// IdentityWanted is what the certificate of an identity profile is to say for a person.
type IdentityWanted struct {
	Subject     pkix.Name
	Emails      []string
	UPN         string
	KeySize     int    // bits, RSA
	KeyUsage    string // "signature", "encipherment", "both"
	Lifetime    time.Duration
	RenewBefore time.Duration
}

// IdentityFor fills an identity profile from a person. The certificate is issued from this, never from the request.
func IdentityFor(p *Profile, person *Person) (*IdentityWanted, error) {
	v, err := Fill(p, person)
	if err != nil {
		return nil, err
	}
	size, _ := strconv.Atoi(v.String("key_size"))
	w := &IdentityWanted{Subject: pkix.Name{CommonName: v.String("common_name")}, KeySize: size, KeyUsage: v.String("key_usage"),
		Lifetime: time.Duration(v.Int("lifetime")) * 24 * time.Hour, RenewBefore: time.Duration(v.Int("renew_before")) * 24 * time.Hour}
	if s := v.String("organisation"); s != "" {
		w.Subject.Organization = []string{s}
	}
	if s := v.String("unit"); s != "" {
		w.Subject.OrganizationalUnit = []string{s}
	}
	if person != nil && v.Bool("san_mail") {
		w.Emails = slices.DeleteFunc([]string{person.Mail}, func(s string) bool { return s == "" })
	}
	if person != nil && v.Bool("san_upn") {
		w.UPN = person.upn()
	}
	return w, nil
}
