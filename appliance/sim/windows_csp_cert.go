package sim

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// acceptCertificate checks a certificate that goes to a store.
func (r *dmRun) acceptCertificate(l pcLoc, data string) int {
	if l.segs[len(l.segs)-1] != "EncodedCertificate" {
		return 200
	}
	if strings.ContainsAny(data, "\r\n\t ") {
		r.note("a certificate's base64 has line breaks")
		return 500
	}
	c, err := parseCertificate(data)
	if err != nil {
		return 500
	}
	hash := l.segs[len(l.segs)-2]
	if !strings.EqualFold(hash, thumbprint(c.Raw)) {
		return 500
	}
	if hash != thumbprint(c.Raw) {
		r.note("a certificate's thumbprint is not in capitals")
	}
	return 200
}

// trusts writes the facts beside a certificate that arrived, and shows a root in the machine's store.
func (r *dmRun) trusts(account pcLoc) {
	l, ok := account.child("EncodedCertificate")
	n, there := r.d.tree.get(l)
	if !ok || !there {
		return
	}
	c, err := parseCertificate(n.data)
	if err != nil {
		return
	}
	r.d.tree.putCertificate(strings.TrimSuffix(account.parent().uri(), "/")+"/", c)
	if below := account.below(); below[0] == "Root" && !account.user() {
		r.d.tree.putCertificate("./Device/Vendor/MSFT/CertificateStore/ROOT/System/", c)
	}
}

// acceptIdentity keeps the settings of an identity to come.
func (r *dmRun) acceptIdentity(l pcLoc, data string) int {
	if r.atomic == 0 {
		r.note("settings of an identity certificate outside an Atomic")
	}
	switch l.segs[len(l.segs)-1] {
	case "PFXCertBlob":
		if _, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(data), "")); err != nil {
			return 500
		}
	case "PFXKeyExportable":
		account, _ := l.account()
		if at, _ := account.child("KeyLocation"); data == "true" && r.d.tree.nodes[at.key()].data != "3" {
			return 500
		}
	case "ServerURL":
		for one := range strings.SplitSeq(data, ";") {
			if u, err := url.Parse(one); err != nil || u.Host == "" {
				return 500
			}
		}
	case "CAThumbprint":
		if !hashName.MatchString(strings.ReplaceAll(data, " ", "")) {
			return 500
		}
	}
	return 200
}

// installPFX installs a PKCS #12 once all of it has arrived. Its fate shows in Status.
func (r *dmRun) installPFX(account pcLoc) {
	t := r.d.tree
	below := account.below()
	value := func(name string) (string, bool) {
		l, ok := account.child(name)
		if !ok {
			return "", false
		}
		n, there := t.get(l)
		return n.data, there
	}
	blob, there := value("PFXCertBlob")
	if below[0] != "PFXCertInstall" || !there {
		return
	}
	location, hasLocation := value("KeyLocation")
	if !hasLocation {
		r.note("a PFX without KeyLocation")
	}
	password, _ := value("PFXCertPassword")
	kind, _ := value("PFXCertPasswordEncryptionType")
	der, _ := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(blob), "")) // checked when it came
	status := "0"
	key, cert, _, err := pkcs12.DecodeChain(der, password)
	switch {
	case kind != "" && kind != "0", location == "4":
		status = "50" // ERROR_NOT_SUPPORTED: there is nothing to decrypt it with
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		status = "86" // ERROR_INVALID_PASSWORD
	case err != nil:
		status = "13" // ERROR_INVALID_DATA
	default:
		t.ids[account.key()] = &identity{cert: cert, key: key}
		t.put(account.uri()+"/Thumbprint", thumbprint(cert.Raw))
	}
	t.put(account.uri()+"/Status", status)
}

// enrolSCEP starts an enrolment by SCEP, which runs after the session.
func (r *dmRun) enrolSCEP(l pcLoc) int {
	account, _ := l.account()
	at := account.uri()
	settings := map[string]string{}
	for _, n := range r.d.tree.leaves(account) {
		settings[n.segs[len(n.segs)-1]] = n.data
	}
	for _, name := range []string{"ServerURL", "Challenge", "EKUMapping", "KeyUsage", "SubjectName", "KeyLength", "HashAlgorithm", "CAThumbprint"} {
		if settings[name] == "" {
			r.note("an enrolment by SCEP lacks " + name)
			return 500
		}
	}
	r.d.tree.put(at+"/Status", "2")
	r.d.tree.put(at+"/ErrorCode", "0")
	d, key := r.d, account.key()
	d.later = append(d.later, func(ctx context.Context) { d.scep(ctx, at, key, settings) })
	return 200
}

// scep enrols and notes the outcome where the server reads it.
func (d *Windows) scep(ctx context.Context, at, key string, settings map[string]string) {
	id, from, err := d.obtain(ctx, settings)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mdm == nil || !d.tree.exists(mustLocate(at)) {
		return
	}
	if err != nil {
		d.seen.lastError = err.Error()
		d.log.Info("enrolment by SCEP failed", "error", err)
		d.tree.put(at+"/Status", "16")
		d.tree.put(at+"/ErrorCode", "-2146893823") // 0x80090001 as a signed number
		return
	}
	d.tree.ids[key] = id
	d.tree.put(at+"/Status", "1")
	d.tree.put(at+"/ErrorCode", "0")
	d.tree.put(at+"/CertThumbprint", thumbprint(id.cert.Raw))
	d.tree.put(at+"/RespondentServerUrl", from)
}

// obtain runs GetCACaps, GetCACert and PKIOperation as the Windows client does, with the
// first server that answers.
func (d *Windows) obtain(ctx context.Context, set map[string]string) (id *identity, from string, err error) {
	client := &http.Client{Transport: newPCTransport(d.roots(), nil, nil, d.complain), Timeout: timeout}
	defer client.CloseIdleConnections()
	s := scepClient{http: client, keys: d.o.Keys, bits: d.o.KeyBits, name: "Mozilla/4.0 (compatible; Win32; NDES client)", now: time.Now(), note: d.complain}
	for server := range strings.SplitSeq(set["ServerURL"], ";") {
		if d.o.PKIClient {
			server = strings.TrimSuffix(server, "/") + "/pkiclient.exe"
		}
		if id, err = d.obtainFrom(ctx, s, server, set); err == nil {
			return id, server, nil
		}
	}
	return nil, "", err
}

func (d *Windows) obtainFrom(ctx context.Context, s scepClient, server string, set map[string]string) (*identity, error) {
	caps, err := s.capabilities(ctx, server, "")
	if err != nil {
		return nil, err
	}
	ca, ra, err := s.authorities(ctx, server, "", nil)
	if err != nil {
		return nil, err
	}
	if want := strings.ToUpper(strings.ReplaceAll(set["CAThumbprint"], " ", "")); !d.leadsTo(ca, want) {
		return nil, fmt.Errorf("the SCEP server's authority does not lead to the root %s", want)
	}
	bits, _ := strconv.Atoi(set["KeyLength"]) // an integer since it was accepted
	key, err := s.keys.take(ctx, max(bits, s.bits, 1024))
	if err != nil {
		return nil, err
	}
	settings, err := scepSettings(set)
	if err != nil {
		return nil, err
	}
	csr, err := request(settings, key, d.hw.name)
	if err != nil {
		return nil, err
	}
	self, err := protocolCertificate(key, s.now)
	if err != nil {
		return nil, err
	}
	tx := sha256.Sum256(csr.RawSubjectPublicKeyInfo)
	x := exchange{scepClient: s, url: server, caps: caps, ca: ca, ra: ra, key: key, self: self, transaction: strings.ToUpper(hex.EncodeToString(tx[:20]))}
	retries, delay := 3, 5
	if n, err := strconv.Atoi(set["RetryCount"]); err == nil {
		retries = n
	}
	if n, err := strconv.Atoi(set["RetryDelay"]); err == nil {
		delay = n
	}
	cert, pending, err := x.send(ctx, "19", csr.Raw)
	for try := 0; err == nil && pending && try < retries; try++ {
		if err := sleep(ctx, time.Duration(delay)*d.o.Minute); err != nil {
			return nil, err
		}
		poll, mErr := asn1.Marshal(struct{ Issuer, Subject asn1.RawValue }{asn1.RawValue{FullBytes: ca.RawSubject}, asn1.RawValue{FullBytes: csr.RawSubject}})
		if mErr != nil {
			return nil, mErr
		}
		cert, pending, err = x.send(ctx, "20", poll)
	}
	switch {
	case err != nil:
		return nil, err
	case pending:
		return nil, errors.New("the SCEP server left the request pending")
	}
	return &identity{cert: cert, key: key}, nil
}

// leadsTo reports whether an authority is the root of that thumbprint, or leads to it
// by what the PC trusts.
func (d *Windows) leadsTo(ca *x509.Certificate, root string) bool {
	d.mu.Lock()
	known := d.tree.trusted()
	if d.mdm != nil {
		known = append(known, d.mdm.roots...)
	}
	d.mu.Unlock()
	for range 5 {
		if thumbprint(ca.Raw) == root {
			return true
		}
		i := slices.IndexFunc(known, func(c *x509.Certificate) bool { return ca.CheckSignatureFrom(c) == nil && !c.Equal(ca) })
		if i < 0 {
			return false
		}
		ca = known[i]
	}
	return false
}

// scepSettings turns a provider's settings into what the request is made from.
func scepSettings(set map[string]string) (dict, error) {
	b := dict{"Challenge": set["Challenge"]}
	usage, _ := strconv.Atoi(set["KeyUsage"])
	use := 0
	if usage&128 != 0 {
		use |= 1
	}
	if usage&32 != 0 {
		use |= 4
	}
	b["Key Usage"] = uint64(use)
	var rdns []any
	for _, part := range splitName(set["SubjectName"]) {
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			return nil, fmt.Errorf("the subject %q is not a distinguished name", set["SubjectName"])
		}
		if strings.EqualFold(strings.TrimSpace(name), "E") {
			name = "1.2.840.113549.1.9.1"
		}
		rdns = append(rdns, []any{[]any{strings.ToUpper(strings.TrimSpace(name)), strings.Trim(strings.TrimSpace(value), `"`)}})
	}
	b["Subject"] = rdns
	san := dict{}
	for part := range strings.SplitSeq(set["SubjectAlternativeNames"], ";") {
		if part == "" {
			continue
		}
		kind, value, _ := strings.Cut(part, "+")
		switch kind {
		case "2":
			san["rfc822Name"] = value
		case "3":
			san["dNSName"] = value
		case "7":
			san["uniformResourceIdentifier"] = value
		case "11":
			san["ntPrincipalName"] = value
		default:
			return nil, fmt.Errorf("there is no alternative name of type %q", kind)
		}
	}
	b["SubjectAltName"] = san
	return b, nil
}

// splitName splits a distinguished name at the commas outside quotes.
func splitName(s string) []string {
	quoted := false
	return strings.FieldsFunc(s, func(c rune) bool {
		if c == '"' {
			quoted = !quoted
		}
		return !quoted && c == ','
	})
}

// protocolCertificate makes the throw-away certificate that signs a request: SHA-1, and
// with an authority key identifier that is marked critical, which crypto/x509 refuses to
// read and a server has to take.
func protocolCertificate(key *rsa.PrivateKey, now time.Time) (*x509.Certificate, error) {
	pub := x509.MarshalPKCS1PublicKey(&key.PublicKey)
	sum := sha1.Sum(pub)
	aki, err := asn1.Marshal(struct {
		ID []byte `asn1:"tag:0"`
	}{sum[:]})
	if err != nil {
		return nil, err
	}
	serial := new(big.Int).SetBytes(sum[:8])
	t := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "SCEP Protocol Certificate"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(7 * 24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, SignatureAlgorithm: x509.SHA1WithRSA}
	plain, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(plain)
	if err != nil {
		return nil, err
	}
	t.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 35}, Critical: true, Value: aki}}
	odd, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	c.Raw = odd // what is sent; the rest serves the library that signs
	return c, nil
}
