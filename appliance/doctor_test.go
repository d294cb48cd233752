package appliance

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/pki"
)

// shortDir is a directory whose name leaves room for a socket's (a Unix socket takes some hundred bytes).
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "m")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func (w *world) doctor(language string) (string, error) {
	w.t.Helper()
	var out bytes.Buffer
	err := Doctor(w.t.Context(), DoctorConfig{Config: w.config, Language: language}, &out)
	return out.String(), err
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if !strings.Contains(text, l) {
			t.Errorf("no %q in\n%s", l, text)
		}
	}
}

// Doctor asks the running server, which looks at itself by its public names; what needs someone is said with what to do, in either language.
func TestDoctorSaysWhatNeedsSomeone(t *testing.T) {
	clock := &movable{}
	w := newWorldWith(t, shortDir(t), func(c *Config) { c.Clock = clock.now })
	stop, err := w.Appliance.serveLocal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { stop() }()
	text, err := w.doctor("en")
	if err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	wantLines(t, text, "ok    the server runs", "answers over IPv4", "ok    the certificate for 127.0.0.1 is valid until", "ok    Apple’s push certificate", "ok    the store holds", "note  Revocation lists are offered over HTTPS only", "→ Start the server with --http :80")
	if text, _ = w.doctor("nl"); !strings.Contains(text, "ok    de server draait") || strings.Contains(text, "the ") {
		t.Errorf("not Dutch:\n%s", text)
	}
	if err := os.Chmod(w.config.Key, 0o644); err != nil {
		t.Fatal(err)
	}
	if text, err = w.doctor("en"); err != nil || strings.Count(text, "can be read by other users") != 1 {
		t.Errorf("a readable seal key: %v\n%s", err, text)
	}
	if n := w.need("need.key-readable"); n == nil {
		t.Error("the health page says nothing of the key")
	}
	if err := os.Chmod(w.config.Key, 0o600); err != nil {
		t.Fatal(err)
	}
	// Backups: none without a key, then beside the data until one is taken elsewhere, then too old.
	w.recoveryKey()
	f := w.Appliance.fleet
	b, err := f.MakeBackup(t.Context(), w.Actor, fleet.BackupManual)
	if err != nil {
		t.Fatal(err)
	}
	text, err = w.doctor("en")
	if err != nil {
		t.Errorf("%v\n%s", err, text)
	}
	wantLines(t, text, "ok    the newest backup of", "warn  The backups in "+f.BackupDir()+" are on the same disk as the data", "--backup-dir")
	_, file, err := f.OpenBackup(t.Context(), w.Actor, b.ID)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	if n := w.need("need.backup-same-disk"); n != nil {
		t.Errorf("one is kept elsewhere: %+v", n)
	}
	clock.forward(4 * 24 * time.Hour)
	if text, err = w.doctor("en"); err != nil || strings.Contains(text, "the newest backup") {
		t.Errorf("a backup of four days ago: %v\n%s", err, text)
	}
	wantLines(t, text, "warn  There has been no good backup since")
	clock.forward(4 * 24 * time.Hour)
	if text, err = w.doctor("nl"); !errors.Is(err, ErrUnwell) {
		t.Errorf("a backup of eight days ago: %v", err)
	}
	wantLines(t, text, "FAIL  Sinds ")
	clock.forward(-8 * 24 * time.Hour)
	stop()
	stop = func() {}

	// Without a server: what keeps it from starting.
	text, err = w.doctor("en")
	if !errors.Is(err, ErrUnwell) {
		t.Errorf("no server: %v", err)
	}
	wantLines(t, text, "FAIL  no server answers for", "FAIL  another program listens on "+w.config.Listen)
	if _, err := Open(t.Context(), Config{Data: filepath.Join(t.TempDir(), "other"), Key: w.config.Key, Listen: w.config.Listen, URL: w.config.URL, Logger: testLog(t)}); err == nil || !strings.Contains(err.Error(), "another program listens") {
		t.Errorf("a second server on the port: %v", err)
	}
}

// Another server answers where the public name leads, then nobody does.
func TestProbeKnowsAnotherServerFromItself(t *testing.T) {
	other := httptest.NewUnstartedServer(http.NotFoundHandler())
	ln, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Skip("this system has no 127.0.0.2")
	}
	other.Listener.Close()
	other.Listener = ln
	other.StartTLS()
	w := newWorldWith(t, t.TempDir(), func(c *Config) {
		c.TLS, c.URL, c.DeviceURL = "", "https://"+ln.Addr().String(), ""
	})
	look := func() {
		t.Helper()
		if err := w.Appliance.lookAtItself(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	look()
	if n := w.need("need.name-elsewhere"); n == nil || n.Severity != fleet.SeverityError || n.Reason.Args["family"] != "IPv4" {
		t.Errorf("another server: %+v", n)
	}
	other.Close()
	look()
	if n := w.need("need.name-unreachable"); n == nil || n.Severity != fleet.SeverityError || w.need("need.name-elsewhere") != nil {
		t.Errorf("nobody answers: %+v", n)
	}
}

// pairFor writes a chain and key of an authority of its own for names, and returns their paths.
func pairFor(t *testing.T, dir string, authority *pki.Authority, names []string, ips []net.IP) (string, string) {
	t.Helper()
	c, err := authority.IssueServer(t.Context(), names, ips)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	writePair(t, c, cert, key)
	return cert, key
}

// Files that cannot be used are refused in words when they are named, and when they go bad later the last good certificate stays.
func TestOwnFilesGoBad(t *testing.T) {
	w := newWorldWith(t, t.TempDir(), func(c *Config) { c.TLS = "" })
	dir := t.TempDir()
	use := func(cert, key string) error {
		_, err := w.Appliance.fleet.SaveServerTLS(t.Context(), w.Actor, fleet.ServerTLS{Mode: fleet.TLSFiles, CertFile: cert, KeyFile: key, Confirmed: true})
		return err
	}
	wantFault(t, use(filepath.Join(dir, "none.crt"), filepath.Join(dir, "none.key")), "cert_file", "tls.unreadable")
	cert, key := pairFor(t, dir, w.Appliance.pki, []string{"elsewhere.example"}, nil)
	wantFault(t, use(cert, key), "cert_file", "tls.name-missing")
	wantFault(t, use(cert, cert), "cert_file", "tls.no-pair")
	cert, key = pairFor(t, dir, w.Appliance.pki, nil, []net.IP{net.IPv4(127, 0, 0, 1)})
	if err := use(cert, key); err != nil {
		t.Fatal(err)
	}
	good := w.serial("127.0.0.1", w.roots)
	if served := w.Appliance.tls.Certificates(); good == "" || served[0].Source != fleet.TLSFiles {
		t.Fatalf("served: %q %+v", good, served)
	}
	if err := os.WriteFile(key, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.looked()
	if n := w.need("need.tls-files"); n == nil || n.Reason.Args["file"] != cert {
		t.Errorf("a bad key: %+v", n)
	}
	if got := w.serial("127.0.0.1", w.roots); got != good {
		t.Errorf("served %q, want the last good %q", got, good)
	}
	w.restart() // starts all the same, with a certificate of our own
	if w.serial("127.0.0.1", w.roots) == "" || w.need("need.tls-files") == nil {
		t.Error("after a restart with bad files")
	}
	cert, key = pairFor(t, dir, w.Appliance.pki, nil, []net.IP{net.IPv4(127, 0, 0, 1)})
	w.looked()
	if w.need("need.tls-files") != nil || w.Appliance.tls.Certificates()[0].Source != fleet.TLSFiles {
		t.Error("the files are good again and not used")
	}
	c := w.config
	c.Data, c.TLS, c.TLSCert, c.TLSKey = t.TempDir(), fleet.TLSFiles, cert, filepath.Join(dir, "absent.key")
	c.Listen, c.URL, c.DeviceURL = "127.0.0.1:0", "", ""
	if _, err := Open(context.Background(), c); err == nil || !strings.Contains(err.Error(), "absent.key") {
		t.Errorf("flags that name no file: %v", err)
	}
}

// A clock that was a year ahead leaves no certificate behind that is not valid yet.
func TestClockAheadAndBack(t *testing.T) {
	clock := &movable{}
	w := newWorldWith(t, t.TempDir(), func(c *Config) { c.TLS, c.Clock = "", clock.now })
	year := 365 * 24 * time.Hour
	clock.forward(year)
	w.looked()
	if c := w.Appliance.tls.Certificates()[0]; !c.NotAfter.After(clock.now()) {
		t.Errorf("a year ahead the certificate ended on %s", c.NotAfter)
	}
	clock.forward(-year)
	w.looked()
	if c := w.Appliance.tls.Certificates()[0]; c.NotBefore.After(clock.now()) || w.serial("127.0.0.1", w.roots) == "" {
		t.Errorf("the clock is right again, and the certificate begins on %s", c.NotBefore)
	}
	clock.forward(-year)
	if err := w.Appliance.lookAtItself(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := w.need("need.clock-off"); n == nil || n.Severity != fleet.SeverityError {
		t.Errorf("a clock before the birth of our own authority: %+v", n)
	}
}

// writePair writes a certificate with its chain, and its key, in PEM.
func writePair(t *testing.T, c *tls.Certificate, cert, key string) {
	t.Helper()
	var chain []byte
	for _, der := range c.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for path, raw := range map[string][]byte{cert: chain, key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})} {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
