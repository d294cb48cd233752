package sim

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// provisioning is what a provisioning document set up.
type provisioning struct {
	root, ca      *x509.Certificate
	cert          *x509.Certificate
	store         string // User or System
	renew         map[string]string
	app           map[string]string
	device        pcCredential // APPSRV
	server        pcCredential // CLIENT
	provider      string       // of DMClient
	client        map[string]string
	poll          map[string]string
	hasDMClient   bool
	keyContainers int
}

// wapReader applies a provisioning document as strictly as Windows does.
type wapReader struct {
	key     *rsa.PrivateKey
	kind    string // Full or Device
	build   int
	renewal bool
	now     time.Time
	note    func(string, ...any)
	p       provisioning
}

// wapError is a document that Windows does not accept; the text names the place.
func wapError(format string, args ...any) *WindowsError {
	return gaveUp("provisioning", hrAccountConfig, format, args...)
}

// read parses and checks a document.
func (r *wapReader) read(b []byte) (*provisioning, error) {
	doc, err := parseXML(b)
	if err != nil {
		return nil, gaveUp("provisioning", hrProvisioning, "the provisioning document: %v", err)
	}
	if doc.name != "wap-provisioningdoc" || doc.attr("version") != "1.1" {
		return nil, gaveUp("provisioning", hrProvisioning, "the document is %s version %q, not wap-provisioningdoc 1.1", doc.name, doc.attr("version"))
	}
	r.p.renew, r.p.app, r.p.client, r.p.poll = map[string]string{}, map[string]string{}, map[string]string{}, map[string]string{}
	seen := map[string]bool{}
	for _, c := range doc.kids {
		kind := c.attr("type")
		if c.name != "characteristic" || seen[kind] || !slices.Contains([]string{"CertificateStore", "APPLICATION", "DMClient"}, kind) {
			return nil, gaveUp("provisioning", hrProvisioning, "the top level holds %s %q", c.name, kind)
		}
		seen[kind] = true
		switch kind {
		case "CertificateStore":
			err = r.certificates(c)
		case "APPLICATION":
			err = r.application(c)
		case "DMClient":
			r.p.hasDMClient = true
			err = r.dmClient(c)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := r.whole(); err != nil {
		return nil, err
	}
	return &r.p, nil
}

// parms reads an element's parameters; allowed maps each name to its datatype.
func (r *wapReader) parms(c *element, allowed map[string]string, into map[string]string) *WindowsError {
	for _, k := range c.kids {
		if k.name != "parm" {
			if k.name != "characteristic" {
				return wapError("%s holds <%s>", c.attr("type"), k.name)
			}
			continue
		}
		name, value, kind := k.attr("name"), k.attr("value"), k.attr("datatype")
		want, known := allowed[name]
		if !known {
			return wapError("%s has no parameter %q", c.attr("type"), name)
		}
		if kind == "" {
			kind = "string"
		}
		switch kind {
		case "string", "integer", "boolean":
		default:
			return wapError("%s: datatype %q", name, kind)
		}
		if want != "any" && kind != want {
			return wapError("%s: datatype %s, not %s", name, kind, want)
		}
		if _, err := strconv.Atoi(value); kind == "integer" && err != nil {
			return wapError("%s is not an integer: %q", name, value)
		}
		if kind == "boolean" && value != "true" && value != "false" {
			return wapError("%s is not a boolean: %q", name, value)
		}
		if _, twice := into[name]; twice {
			return wapError("%s comes twice", name)
		}
		into[name] = value
	}
	return nil
}

// certificates reads CertificateStore.
func (r *wapReader) certificates(c *element) error {
	for _, store := range c.kids {
		for _, place := range store.kids {
			where := store.attr("type") + "/" + place.attr("type")
			var err *WindowsError
			switch where {
			case "Root/System":
				r.p.root, err = r.one(where, place, r.p.root)
			case "CA/System":
				r.p.ca, err = r.one(where, place, r.p.ca)
			case "My/User", "My/System":
				r.p.store = place.attr("type")
				r.p.cert, err = r.one(where, place, r.p.cert)
			case "My/WSTEP":
				renew := place.kid("characteristic")
				if len(place.kids) != 1 || renew.attr("type") != "Renew" {
					return wapError("My/WSTEP holds something else than Renew")
				}
				err = r.parms(renew, map[string]string{"ROBOSupport": "boolean", "RenewPeriod": "integer", "RetryInterval": "integer", "ServerURL": "string"}, r.p.renew)
			default:
				return wapError("there is no certificate store %s", where)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// one reads the single certificate of a store.
func (r *wapReader) one(where string, place *element, had *x509.Certificate) (*x509.Certificate, *WindowsError) {
	for _, k := range place.kids {
		thumb := k.attr("type")
		if thumb == "PrivateKeyContainer" && strings.HasPrefix(where, "My/") {
			r.p.keyContainers++
			continue
		}
		if had != nil {
			return nil, gaveUp("provisioning", hrProvisioning, "%s holds more than one certificate", where)
		}
		values := map[string]string{}
		if err := r.parms(k, map[string]string{"EncodedCertificate": "string"}, values); err != nil {
			return nil, err
		}
		for _, inner := range k.kids {
			if inner.attr("type") == "PrivateKeyContainer" && strings.HasPrefix(where, "My/") {
				r.p.keyContainers++
			}
		}
		der, err := base64.StdEncoding.DecodeString(values["EncodedCertificate"])
		if err != nil || strings.ContainsAny(values["EncodedCertificate"], "\r\n\t ") {
			return nil, wapError("%s: the certificate is not base64 in one line", where)
		}
		if had, err = x509.ParseCertificate(der); err != nil {
			return nil, wapError("%s: %v", where, err)
		}
		if thumb != thumbprint(der) {
			return nil, wapError("%s: the certificate's thumbprint is %s, not %s", where, thumbprint(der), thumb)
		}
	}
	return had, nil
}

// application reads APPLICATION, the w7 account.
func (r *wapReader) application(c *element) error {
	err := r.parms(c, map[string]string{"APPID": "string", "PROVIDER-ID": "string", "NAME": "string", "ADDR": "string", "CONNRETRYFREQ": "any", "INITIALBACKOFFTIME": "any",
		"MAXBACKOFFTIME": "any", "BACKCOMPATRETRYDISABLED": "string", "DEFAULTENCODING": "string", "PROTOVER": "string", "USEHWDEVID": "string", "CRLCheck": "any",
		"SSLCLIENTCERTSEARCHCRITERIA": "string", "ROLE": "any"}, r.p.app)
	if err != nil {
		return err
	}
	for _, name := range []string{"ROLE", "USEHWDEVID", "SSLCLIENTCERTSEARCHCRITERIA"} {
		if _, there := r.p.app[name]; there {
			r.note("the provisioning document sets %s", name)
		}
	}
	if e := r.p.app["DEFAULTENCODING"]; e != "" && e != "application/vnd.syncml.dm+xml" {
		return wapError("DEFAULTENCODING %q", e)
	}
	for _, name := range []string{"CONNRETRYFREQ", "INITIALBACKOFFTIME", "MAXBACKOFFTIME"} {
		if v, there := r.p.app[name]; there {
			if n, err := strconv.Atoi(v); err != nil || n < 0 {
				return wapError("%s is %q", name, v)
			}
		}
	}
	for _, k := range c.kids {
		if k.name != "characteristic" {
			continue
		}
		if k.attr("type") != "APPAUTH" {
			return wapError("APPLICATION holds %q", k.attr("type"))
		}
		if err := r.auth(k); err != nil {
			return err
		}
	}
	return nil
}

// auth reads one APPAUTH.
func (r *wapReader) auth(c *element) *WindowsError {
	v := map[string]string{}
	if err := r.parms(c, map[string]string{"AAUTHLEVEL": "string", "AAUTHTYPE": "string", "AAUTHNAME": "string", "AAUTHSECRET": "string", "AAUTHDATA": "string"}, v); err != nil {
		return err
	}
	cred := pcCredential{kind: v["AAUTHTYPE"], name: v["AAUTHNAME"], secret: v["AAUTHSECRET"]}
	data, there := v["AAUTHDATA"]
	nonce, err := base64.StdEncoding.DecodeString(data)
	switch {
	case !there && r.build >= 26200:
		return wapError("APPAUTH %s has no AAUTHDATA (0x80070057)", v["AAUTHLEVEL"])
	case !there:
		r.note("APPAUTH %s has no AAUTHDATA, which Windows 11 25H2 refuses", v["AAUTHLEVEL"])
	case err != nil:
		return wapError("AAUTHDATA is not base64")
	case len(nonce) != 16:
		r.note("AAUTHDATA holds %d bytes, not 16", len(nonce))
	}
	cred.nonce = nonce
	switch v["AAUTHLEVEL"] {
	case "CLIENT":
		if cred.kind != "DIGEST" || cred.secret == "" {
			return wapError("APPAUTH CLIENT needs DIGEST and a secret")
		}
		r.p.server = cred
	case "APPSRV":
		if cred.kind != "DIGEST" && cred.kind != "BASIC" || cred.secret == "" || cred.name == "" {
			return wapError("APPAUTH APPSRV needs DIGEST or BASIC, a name and a secret")
		}
		r.p.device = cred
	default:
		return wapError("AAUTHLEVEL %q", v["AAUTHLEVEL"])
	}
	return nil
}

// dmClient reads DMClient/Provider/<id>.
func (r *wapReader) dmClient(c *element) error {
	provider := c.kid("characteristic")
	if len(c.kids) != 1 || provider.attr("type") != "Provider" || len(provider.kids) != 1 {
		return wapError("DMClient holds something else than one Provider")
	}
	own := provider.kids[0]
	r.p.provider = own.attr("type")
	err := r.parms(own, map[string]string{"UPN": "string", "EntDeviceName": "string", "EntDMID": "string", "EnableOmaDmKeepAliveMessage": "boolean", "RequireMessageSigning": "boolean",
		"HelpPhoneNumber": "string", "HelpEmailAddress": "string", "HelpWebsite": "string", "NumberOfDaysAfterLostContactToUnenroll": "integer",
		"ManagementServiceAddress": "string", "SyncApplicationVersion": "string"}, r.p.client)
	if err != nil {
		return err
	}
	for _, k := range own.kids {
		switch {
		case k.name == "parm":
		case k.attr("type") == "Poll":
			const n, b = "integer", "boolean"
			err := r.parms(k, map[string]string{"NumberOfFirstRetries": n, "IntervalForFirstSetOfRetries": n, "NumberOfSecondRetries": n, "IntervalForSecondSetOfRetries": n,
				"NumberOfRemainingScheduledRetries": n, "IntervalForRemainingScheduledRetries": n, "PollOnLogin": b, "AllUsersPollOnFirstLogin": b}, r.p.poll)
			if err != nil {
				return err
			}
		case k.attr("type") == "CustomEnrollmentCompletePage":
			err := r.parms(k, map[string]string{"Title": "string", "BodyText": "string", "HyperlinkHref": "string", "HyperlinkText": "string"}, map[string]string{})
			if err != nil {
				return err
			}
		default:
			return wapError("DMClient/Provider has no %q", k.attr("type"))
		}
	}
	return nil
}

// whole makes the checks that need the whole document.
func (r *wapReader) whole() error {
	p := &r.p
	store := "User"
	if r.kind == "Device" {
		store = "System"
	}
	switch {
	case p.cert == nil:
		return gaveUp("provisioning", hrCertRequest, "the document brings no certificate")
	case p.store != store:
		return gaveUp("provisioning", hrCertRequest, "the certificate is in My/%s, but the enrolment is of type %s", p.store, r.kind)
	case p.keyContainers != 1:
		return gaveUp("provisioning", hrCertRequest, "My has %d PrivateKeyContainer, not one", p.keyContainers)
	}
	if pub, ok := p.cert.PublicKey.(*rsa.PublicKey); !ok || !pub.Equal(&r.key.PublicKey) {
		return gaveUp("provisioning", hrCertRequest, "the certificate is for another key")
	}
	if r.now.Before(p.cert.NotBefore) || r.now.After(p.cert.NotAfter) {
		return gaveUp("provisioning", hrCertDates, "the certificate is not valid now")
	}
	if !slices.Contains(p.cert.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		r.note("the management certificate is not for client authentication")
	}
	if p.cert.NotBefore.Before(r.now.Add(-24 * time.Hour)) {
		r.note("the management certificate is dated back by more than a day")
	}
	if v := p.app["APPID"]; v != "w7" {
		return wapError("APPID is %q, not w7", v)
	}
	id := p.app["PROVIDER-ID"]
	if id == "" || strings.ContainsFunc(id, func(c rune) bool { return c > 126 || c <= ' ' || c == '/' }) {
		return wapError("PROVIDER-ID is %q", id)
	}
	for name, v := range p.renew {
		if n, err := strconv.Atoi(v); err == nil && (n < 1 || n > 1000) {
			return wapError("%s is %d, not 1 to 1000", name, n)
		}
	}
	if period, _ := strconv.Atoi(p.renew["RenewPeriod"]); period > 0 && p.cert.NotAfter.Sub(p.cert.NotBefore) <= time.Duration(period)*24*time.Hour {
		r.note("RenewPeriod %d days is longer than the certificate lives: it will be renewed at once", period)
	}
	if r.renewal {
		return nil
	}
	if p.root == nil {
		return gaveUp("provisioning", hrCertRequest, "the document brings no root")
	}
	if err := p.chains(r.now); err != nil {
		return gaveUp("provisioning", hrCertRequest, "the certificate does not lead to the root: %v", err)
	}
	addr, err := url.Parse(p.app["ADDR"])
	switch {
	case err != nil || addr.Scheme != "https" || addr.Host == "":
		return wapError("ADDR is no absolute https address")
	case p.app["NAME"] == "":
		return wapError("NAME is missing")
	case p.server.kind == "" || p.device.kind == "":
		return wapError("APPAUTH is needed for CLIENT and for APPSRV")
	case p.hasDMClient && p.provider != id:
		return wapError("DMClient's provider is %q, APPLICATION's %q", p.provider, id)
	case !p.hasDMClient:
		return wapError("DMClient is missing")
	}
	if p.client["EntDMID"] == "" {
		r.note("EntDMID is not set, which the first renewal needs")
	}
	if p.renew["ROBOSupport"] != "true" {
		r.note("ROBOSupport is not true: a federated enrolment cannot be renewed")
	}
	if n, f := p.poll["NumberOfFirstRetries"], p.poll["IntervalForFirstSetOfRetries"]; n == "0" && f != "0" && p.poll["NumberOfSecondRetries"] == "0" && p.poll["IntervalForSecondSetOfRetries"] != "0" && p.poll["IntervalForSecondSetOfRetries"] != "" {
		r.note("the schedule has two sets for ever")
	}
	return nil
}

// chains verifies the device certificate up to the root of the same document.
func (p *provisioning) chains(now time.Time) error {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(p.root)
	if p.ca != nil {
		between.AddCert(p.ca)
	}
	_, err := p.cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err
}
