package sim_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"slices"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"muster/appliance/sim"
)

// TestAndroidNetworks shows that certificates and Wi-Fi are taken as Android takes them: old encryption only, a name and a root to trust
// for an enterprise network, and an identity that an app may use only by a rule.
func TestAndroidNetworks(t *testing.T) {
	c := newGoogle(t, true)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Ada"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	p12 := func(e *pkcs12.Encoder) string {
		b, err := e.Encode(key, cert, nil, "")
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(b)
	}
	network := func(id string, eap object) object {
		return object{"GUID": id, "Name": id, "Type": "WiFi", "WiFi": object{"SSID": id, "Security": "WPA-EAP", "EAP": eap}}
	}
	onc := object{"Type": "UnencryptedConfiguration",
		"Certificates": []any{object{"GUID": "root", "Type": "Authority", "X509": base64.StdEncoding.EncodeToString(der)},
			object{"GUID": "old", "Type": "Client", "PKCS12": p12(pkcs12.LegacyDES)}, object{"GUID": "new", "Type": "Client", "PKCS12": p12(pkcs12.Modern)}},
		"NetworkConfigurations": []any{object{"GUID": "home", "Name": "Home", "Type": "WiFi", "WiFi": object{"SSID": "Home", "Security": "WPA-PSK", "Passphrase": "correct horse"}},
			network("good", object{"Outer": "EAP-TLS", "DomainSuffixMatch": []string{"radius.example.com"}, "ServerCARefs": []string{"root"}, "ClientCertType": "Ref", "ClientCertRef": "old"}),
			network("nameless", object{"Outer": "EAP-TLS", "ServerCARefs": []string{"root"}}),
			network("keyless", object{"Outer": "EAP-TLS", "DomainSuffixMatch": []string{"x"}, "ServerCARefs": []string{"root"}, "ClientCertType": "KeyPairAlias", "ClientCertKeyPairAlias": "none"})}}
	mail := object{"packageName": "com.google.android.gm", "installType": "FORCE_INSTALLED",
		"managedConfiguration": object{"email_address": "ada@example.com", "exchange_host": "mail.example.com", "exchange_login_certificate_alias": "old"}}
	c.policy("p", object{"openNetworkConfiguration": onc, "applications": []any{mail}})
	d := c.phone(sim.AndroidOptions{}, "p", "PERSONAL_USAGE_ALLOWED")
	s := d.State()
	want := []string{"openNetworkConfiguration INVALID_VALUE", "openNetworkConfiguration INVALID_VALUE ONC_WIFI_INVALID_ENTERPRISE_CONFIG",
		"openNetworkConfiguration INVALID_VALUE ONC_WIFI_KEY_PAIR_ALIAS_NOT_CORRESPONDING_TO_EXISTING_KEY"}
	if !slices.Equal(s.NonCompliance, want) || !slices.Equal(s.WiFi, []string{"Home", "good"}) || len(s.Roots) != 1 || len(s.Identities) != 1 {
		t.Errorf("not compliant: %v; networks %v, roots %v, identities %v", s.NonCompliance, s.WiFi, s.Roots, s.Identities)
	}
	if s.Mail[0].Problem == "" {
		t.Error("Gmail uses an identity that no rule gives it")
	}
	c.policy("p", object{"openNetworkConfiguration": onc, "applications": []any{mail}, "choosePrivateKeyRules": []any{object{"privateKeyAlias": "old", "packageNames": []string{"com.google.android.gm"}}}})
	if err := d.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := d.State(); s.Mail[0].Problem != "" {
		t.Errorf("Gmail: %s", s.Mail[0].Problem)
	}
}
