package windows

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"muster/appliance/fleet"
)

// scepNode is where identity certificates of the person are asked for. Requests come from the machine, but the certificate lies in the
// person's store, where mail and Wi-Fi look for it.
const scepNode = "./User/Vendor/MSFT/ClientCertificateInstall/SCEP/"

// identity has the PC make a key and fetch a certificate from our own authority with a one-time challenge. Each version has a node of its own,
// so that the certificate before it stays until the new one is there.
func (r *rendering) identity(p *fleet.Profile, version string) (*rendered, error) {
	if packed, is := r.order.Packed[p.ID]; is {
		return identityPFX(p, version, packed), nil
	}
	challenge := r.order.Secrets[p.ID]
	if challenge == "" {
		return nil, errors.New("no challenge for the identity")
	}
	want, err := fleet.IdentityFor(p, r.order.Person)
	if err != nil {
		return nil, err
	}
	usage := map[string]string{"signature": "128", "encipherment": "32"}[want.KeyUsage]
	if usage == "" {
		usage = "160"
	}
	base := scepNode + identityName(p, version)
	in := base + "/Install/"
	chr := func(name, value string) command { return set(verbAdd, in+name, "chr", value) }
	num := func(name, value string) command { return set(verbAdd, in+name, "int", value) }
	atomic := command{Verb: verbAtomic, Kids: []command{
		chr("ServerURL", r.scepURL),
		chr("Challenge", challenge),
		chr("EKUMapping", "1.3.6.1.5.5.7.3.2"),
		num("KeyUsage", usage),
		chr("SubjectName", "CN="+quoteRDN(want.Subject.CommonName)),
		num("KeyProtection", "2"), // in the TPM, else in software
		num("KeyLength", strconv.Itoa(want.KeySize)),
		chr("HashAlgorithm", "SHA-2"),
		chr("CAThumbprint", thumbprint(r.root.Raw)),
		num("RetryCount", "3"),
		num("RetryDelay", "1"),
		set(verbExec, in+"Enroll", "null", ""),
	}}
	// A try of the same version that was cut off would make the additions fail.
	return &rendered{batches: []batch{{Commands: []command{del(base)}}, {Commands: []command{atomic}}}, nodes: []string{base}, scep: base, late: true}, nil
}

// identityName names a version of an identity in both providers: one name in both would be taken for one certificate.
func identityName(p *fleet.Profile, version string) string {
	return "muster-" + strings.ToLower(string(p.ID)) + "-" + version[:min(8, len(version))]
}

// pfxNode is where an identity is installed together with its key.
const pfxNode = "./User/Vendor/MSFT/ClientCertificateInstall/PFXCertInstall/"

// identityPFX sends key and certificate. KeyLocation must come first; the key goes into the TPM where there is one, and cannot be taken out again.
// Two nodes tell how it went: a number of Windows, and the thumbprint of what is installed.
func identityPFX(p *fleet.Profile, version string, x fleet.PackedIdentity) *rendered {
	base := pfxNode + identityName(p, version) + "-pfx"
	add := func(name, format, value string) command { return set(verbAdd, base+"/"+name, format, value) }
	atomic := command{Verb: verbAtomic, Kids: []command{
		add("KeyLocation", "int", "2"),
		add("PFXCertBlob", "chr", base64.StdEncoding.EncodeToString(x.PKCS12)),
		add("PFXCertPassword", "chr", x.Password),
		add("PFXCertPasswordEncryptionType", "int", "0"),
		add("PFXKeyExportable", "bool", "false"),
	}}
	return &rendered{
		batches: []batch{{Commands: []command{del(base)}}, {Commands: []command{atomic}}},
		checks:  []check{{URI: base + "/Status", Want: "0", Kind: "pfx"}, {URI: base + "/Thumbprint", Want: thumbprint(x.Certificate), Kind: "thumbprint"}},
		nodes:   []string{base},
		late:    true,
	}
}

// quoteRDN quotes a value of a name where its characters ask for it.
func quoteRDN(s string) string {
	if !strings.ContainsAny(s, `,+="<>;`) && s == strings.TrimSpace(s) {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}
