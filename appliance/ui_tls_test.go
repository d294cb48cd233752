package appliance

import (
	"strings"
	"testing"

	"muster/appliance/fleet"
)

// The page about the address and TLS: what is wrong stands at its field, a change is in use at once, and the health page follows.
func TestTLSPage(t *testing.T) {
	w := newWorldWith(t, t.TempDir(), func(c *Config) { c.TLS = "" })
	c := newACMECA(t, portOf(t, w.config.Listen), "1", nil)
	v := w.owner(t)
	status, body := v.get("/settings/tls")
	v.wants("the page", status, 200, body, "127.0.0.1", "from Muster’s own authority", "An authority that speaks ACME")
	status, _, body = v.post("/settings/tls", "mode", "acme", "directory", "http://ca.example/dir")
	v.wants("an authority without TLS", status, 422, body, "f-directory-error")
	status, _, body = v.post("/settings/tls", "mode", "acme", "directory", "https://127.0.0.1:1/dir")
	v.wants("an authority that is not there", status, 422, body, "No answer from https://127.0.0.1:1/dir")
	status, _, body = v.post("/settings/tls", "mode", "acme", "directory", c.URL+"/nonce-plz", "roots", c.roots)
	v.wants("an address that is no directory", status, 422, body, "f-directory-error")
	status, _, body = v.post("/settings/tls", "mode", "files", "cert_file", "/nowhere/tls.crt", "key_file", "/nowhere/tls.key")
	v.wants("files that are not there", status, 422, body, "/nowhere/tls.crt cannot be read by the server", "f-cert_file-error")
	status, at, body := v.post("/settings/tls", "mode", "acme", "directory", c.directory(), "roots", c.roots)
	if at != "/settings/tls" {
		t.Errorf("led to %s", at)
	}
	v.wants("a good authority", status, 200, body, "Muster is asking for certificates")
	for _, x := range fleet.ParseRoots(c.roots) {
		w.roots.AddCert(x)
	}
	w.looked()
	status, body = v.get("/settings/tls")
	v.wants("the page afterwards", status, 200, body, "by ACME", "Pebble Intermediate")
	status, body = v.get("/certificates/calendar")
	v.wants("what ends when", status, 200, body, "Certificate of 127.0.0.1", "By ACME: nothing.")
	status, at, body = v.post("/settings/tls", "mode", "acme", "directory", c.directory(), "roots", c.roots, "names", "mdm.noordhaven.example\nhttps://x.example")
	v.wants("names that are none", status, 422, body, "f-names-error", "“https://x.example” is not the name of a server")
	status, at, body = v.post("/settings/tls", "mode", "acme", "directory", c.directory(), "roots", c.roots, "names", "mdm.noordhaven.example")
	v.wants("a further name", status, 200, body, "mdm.<wbr>noordhaven.example", "enterpriseenrollment.<wbr>noordhaven.example", "Add this name")
	status, at, body = v.post("/settings/tls/names")
	v.wants("the name that Windows looks for", status, 200, body, "It is among the names of this server", "mdm.noordhaven.example")
	if at != "/settings/tls" || strings.Contains(body, "Add this name") {
		t.Errorf("led to %s, and offers it again: %v", at, strings.Contains(body, "Add this name"))
	}
	c.mood.Store("down")
	if status, _, body = v.post("/settings/tls/try"); status != 200 {
		t.Errorf("try: %d %s", status, visible(body))
	}

	reader := w.someone(t, "reader@noordhaven.example", fleet.RoleReadOnly)
	if status, _, _ = reader.post("/settings/tls/names"); status != 403 {
		t.Errorf("a reader adds a name: %d", status)
	}
	if status, _, _ = reader.post("/settings/tls", "mode", "internal"); status != 403 {
		t.Errorf("a reader changes TLS: %d", status)
	}
	if status, body = reader.get("/settings/tls"); status != 200 || strings.Contains(body, "Try now") {
		t.Errorf("a reader sees %d %s", status, visible(body))
	}
	status, body = v.get("/health")
	v.wants("the health page", status, 200, body, "Revocation lists are offered over HTTPS only", "Start the server with --http :80")
}

// What was given as a flag is shown, locked, and cannot be changed there.
func TestTLSFlagsAreLocked(t *testing.T) {
	w := newWorldWith(t, t.TempDir(), func(c *Config) { c.TLS = TLSInternal })
	v := w.owner(t)
	status, body := v.get("/settings/tls")
	v.wants("the page", status, 200, body, "given when the server was started")
	status, _, body = v.post("/settings/tls", "mode", "files", "cert_file", "/a", "key_file", "/b")
	v.wants("a change", status, 422, body, "can be changed only there")
}
