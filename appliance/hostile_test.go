package appliance

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/pki"
	"muster/store"
)

// What is not a message of a device is refused with 400 and a line in the log, and the device goes on as before.
func TestBadMessages(t *testing.T) {
	w := newStrict(t)
	r, id := w.enrolled("Anna", fleet.Corporate)
	r.settle()
	good := string(r.check("TokenUpdate"))
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	io.CopyN(z, zeros{}, 64<<20)
	z.Close()
	deep := "<plist><dict><key>MessageType</key>" + strings.Repeat("<array>", 100_000)
	wide := "<plist><dict><key>UDID</key><string>" + r.udid + "</string><key>Status</key><string>Idle</string><key>a</key><array>" + strings.Repeat("<true/>", 400_000) + "</array></dict></plist>"
	for _, tc := range []struct {
		name, endpoint, kind string
		body                 []byte
		header               []string
	}{
		{"nothing", "checkin", kindCheckIn, nil, nil},
		{"not a property list", "checkin", kindCheckIn, []byte(`{"MessageType":"TokenUpdate"}`), nil},
		{"cut off in the middle", "checkin", kindCheckIn, []byte(good[:len(good)/2]), nil},
		{"more after the end", "checkin", kindCheckIn, []byte(good + "<dict/>"), nil},
		{"a binary property list", "checkin", kindCheckIn, []byte("bplist00\xd1\x01\x02"), nil},
		{"not UTF-8", "checkin", kindCheckIn, []byte(strings.Replace(good, r.udid, "\xff\xfe", 1)), nil},
		{"entities", "checkin", kindCheckIn, []byte(`<!DOCTYPE plist [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><plist><dict><key>UDID</key><string>&b;</string></dict></plist>`), nil},
		{"a key twice", "checkin", kindCheckIn, []byte(strings.Replace(good, "<dict>", "<dict><key>UDID</key><string>other</string>", 1)), nil},
		{"a hundred thousand levels", "checkin", kindCheckIn, []byte(deep), nil},
		{"four hundred thousand values", "connect", kindCommand, []byte(wide), nil},
		{"an unknown message", "checkin", kindCheckIn, r.check("Surrender\r\nlevel=ERROR msg=forged"), nil},
		{"no message type", "checkin", kindCheckIn, message("UDID", r.udid), nil},
		{"no UDID", "checkin", kindCheckIn, message("MessageType", "TokenUpdate"), nil},
		{"a TokenUpdate without token", "checkin", kindCheckIn, r.check("TokenUpdate", "Topic", r.topic), nil},
		{"a TokenUpdate with an endless token", "checkin", kindCheckIn, r.check("TokenUpdate", "Topic", r.topic, "PushMagic", "m", "Token", make([]byte, 64<<10)), nil},
		{"a TokenUpdate under another topic", "checkin", kindCheckIn, r.check("TokenUpdate", "Topic", "com.apple.mgmt.External.other", "PushMagic", "m", "Token", []byte("t")), nil},
		{"an Authenticate under another topic", "checkin", kindCheckIn, r.check("Authenticate", "Topic", "com.apple.mgmt.External.other"), nil},
		{"an Authenticate of a user", "checkin", kindCheckIn, r.check("Authenticate", "Topic", r.topic, "UserID", "u"), nil},
		{"GetToken", "checkin", kindCheckIn, r.check("GetToken", "TokenServiceType", "com.apple.maid"), nil},
		{"an endpoint that declarations do not have", "checkin", kindCheckIn, r.check("DeclarativeManagement", "Endpoint", "../../secrets"), nil},
		{"a check-in of more than 1 MiB", "checkin", kindCheckIn, r.check("TokenUpdate", "Topic", r.topic, "PushMagic", strings.Repeat("m", 1<<20), "Token", []byte("t")), nil},
		{"a result of more than 8 MiB", "connect", kindCommand, message("UDID", r.udid, "Status", "Idle", "x", strings.Repeat("y", 8<<20)), nil},
		{"a compressed bomb", "checkin", kindCheckIn, bomb.Bytes(), []string{"Content-Encoding", "gzip"}},
		{"a check-in as JSON", "checkin", "application/json", []byte(good), nil},
		{"no content type", "checkin", "", []byte(good), nil},
		{"a result without a command", "connect", kindCommand, message("UDID", r.udid, "Status", "Acknowledged"), nil},
		{"an unknown status", "connect", kindCommand, message("UDID", r.udid, "Status", "Maybe\x01\nx", "CommandUUID", "c"), nil},
		{"an endless command id", "connect", kindCommand, message("UDID", r.udid, "Status", "Acknowledged", "CommandUUID", strings.Repeat("c", 10_000)), nil},
	} {
		w.run(t, tc.name, func(t *testing.T) {
			mark := w.log.mark()
			a := r.send(tc.endpoint, tc.kind, tc.body, tc.header...)
			if a.status != http.StatusBadRequest {
				t.Errorf("answered %d %q, want 400", a.status, a.body)
			}
			if lines := w.log.since(mark); !strings.Contains(lines, "device message refused") || strings.Contains(lines, "\nlevel=ERROR") {
				t.Errorf("log: %q", lines)
			}
		})
	}
	w.run(t, "methods", func(t *testing.T) {
		for _, method := range []string{"GET", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"} {
			req, _ := http.NewRequest(method, w.config.DeviceURL+"/mdm/apple/checkin", nil)
			resp, err := r.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s answered %d, want 405", method, resp.StatusCode)
			}
		}
	})
	w.run(t, "announced and never sent", func(t *testing.T) {
		c, err := tls.Dial("tcp", addrOf(w.config.DeviceURL), &tls.Config{RootCAs: w.roots, Certificates: []tls.Certificate{r.identity}})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(c, "PUT /mdm/apple/checkin HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 1000000\r\n\r\n<plist>", kindCheckIn)
		mark := w.log.mark()
		c.Close()
		w.eventually("a line about the message that was cut off", func() bool { return strings.Contains(w.log.since(mark), "device message refused") })
	})
	if d := r.device(); d.ID != id || !d.Enrolled.Equal(r.device().Enrolled) {
		t.Errorf("the device is another: %+v", d)
	}
	r.works()
}

// zeros never end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func addrOf(u string) string { return strings.TrimPrefix(u, "https://") }

// What a device says twice counts once.
func TestReplays(t *testing.T) {
	w := newStrict(t)
	r, id := w.enrolled("Anna", fleet.Corporate)
	r.settle()
	a := r.connect(r.idle())
	if a.body != "" {
		t.Fatalf("not at rest: %s", a.body)
	}
	if _, err := w.Appliance.fleet.Act(t.Context(), w.Actor, id, fleet.ActLock, fleet.ActionOptions{}, ""); err != nil {
		t.Fatal(err)
	}
	lock := commandIn(t, r.want(200, r.connect(r.idle())).body)
	if lock.Command.RequestType != "DeviceLock" {
		t.Fatalf("%s, want DeviceLock", lock.Command.RequestType)
	}
	result := message("UDID", r.udid, "Status", "Acknowledged", "CommandUUID", lock.CommandUUID)
	r.want(200, r.connect(result))
	failure := encode(map[string]any{"UDID": r.udid, "Status": "Error", "CommandUUID": lock.CommandUUID, "ErrorChain": []any{}})

	for _, tc := range []struct {
		name string
		body []byte
		log  string
	}{
		{"the same result", result, "answer came again"},
		{"another result of the same command", failure, "answer came again"},
		{"a result of a command that never was", message("UDID", r.udid, "Status", "Acknowledged", "CommandUUID", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), "answer to an order that is not this device's"},
	} {
		w.run(t, tc.name, func(t *testing.T) {
			mark, events := w.log.mark(), w.timeline(id)
			if a := r.connect(tc.body); a.status != 200 || a.body != "" {
				t.Errorf("answered %d %q, want an empty 200", a.status, a.body)
			}
			if !strings.Contains(w.log.since(mark), tc.log) {
				t.Errorf("log without %q: %s", tc.log, w.log.since(mark))
			}
			if now := w.timeline(id); now != events {
				t.Errorf("the timeline grew:\n%s\n%s", events, now)
			}
		})
	}
	w.run(t, "a result of another device's command", func(t *testing.T) {
		other, _ := w.enrolled("Bram", fleet.Corporate)
		other.settle()
		if _, err := w.Appliance.fleet.Act(t.Context(), w.Actor, id, fleet.ActLock, fleet.ActionOptions{}, ""); err != nil {
			t.Fatal(err)
		}
		mine := commandIn(t, r.want(200, r.connect(r.idle())).body)
		mark := w.log.mark()
		other.want(200, other.connect(message("UDID", other.udid, "Status", "Acknowledged", "CommandUUID", mine.CommandUUID)))
		if !strings.Contains(w.log.since(mark), "answer to an order that is not this device's") {
			t.Errorf("log: %s", w.log.since(mark))
		}
		again := commandIn(t, r.want(200, r.connect(r.idle())).body)
		if again.CommandUUID != mine.CommandUUID {
			t.Errorf("the lock was taken for done by another device's word: %+v", again)
		}
		r.want(200, r.connect(message("UDID", r.udid, "Status", "Acknowledged", "CommandUUID", mine.CommandUUID)))
		other.works()
	})
	w.run(t, "Authenticate again", func(t *testing.T) {
		before := r.device()
		r.want(200, r.checkIn(r.authenticate()))
		r.want(200, r.checkIn(r.tokenUpdate()))
		after := r.device()
		if after.ID != before.ID || after.Enrolment != before.Enrolment {
			t.Errorf("became another device: %+v", after)
		}
		if !strings.Contains(w.timeline(id), "event.enrol-again") {
			t.Errorf("timeline: %s", w.timeline(id))
		}
		r.works()
	})
	w.run(t, "Authenticate again and lock stands", func(t *testing.T) {
		if _, err := w.Appliance.fleet.Act(t.Context(), w.Actor, id, fleet.ActLock, fleet.ActionOptions{}, ""); err != nil {
			t.Fatal(err)
		}
		r.want(200, r.checkIn(r.authenticate()))
		r.want(200, r.checkIn(r.tokenUpdate()))
		r.commands = nil
		r.settle()
		if !strings.Contains(strings.Join(r.commands, " "), "DeviceLock") {
			t.Errorf("the order was lost: %v", r.commands)
		}
	})
}

// Only the identity that was given to a device speaks for it.
func TestWrongIdentities(t *testing.T) {
	w := newStrict(t)
	a, idA := w.enrolled("Anna", fleet.Corporate)
	b, _ := w.enrolled("Bram", fleet.Corporate)
	a.settle()
	b.settle()
	foreign := selfMade(t)
	imitation := imitate(t, w.Appliance.pki.Issuing(), a.identity.Leaf)
	binding := pki.Binding{Purpose: pki.Management, Enrolment: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Generation: 1, Subject: pkix.Name{CommonName: "ghost"}}
	access := binding
	access.Purpose, access.Profile, access.Enrolment = pki.Access, "01ARZ3NDEKTSV4RRFFQ69G5FAX", string(a.device().Enrolment)
	access.Device = string(idA)
	forgotten, recorded, mail := w.issue(binding, false), w.issue(binding, true), w.issue(access, true)

	body := a.idle()
	for _, tc := range []struct {
		name      string
		tls       *tls.Certificate
		signature func(body []byte) string
		body      []byte
		log       string
	}{
		{"none at all", nil, nil, body, "no identity"},
		{"of a foreign authority", &foreign, nil, body, "identity"},
		{"an imitation of our authority", &imitation, nil, body, "identity"},
		{"a mail certificate of ours", &mail, nil, body, "identity"},
		{"ours, in no backup", &forgotten, nil, body, "identity"},
		{"ours, without a device", &recorded, nil, body, "identity"},
		{"of another device", &b.identity, nil, body, "identity"},
		{"of another device, in the signature", nil, func(x []byte) string { return signed(t, x, b.identity) }, body, "identity"},
		{"connection and signature of two devices", &a.identity, func(x []byte) string { return signed(t, x, b.identity) }, body, "signature and connection name two identities"},
		{"a signature of another body", nil, func(x []byte) string { return signed(t, append([]byte(" "), x...), a.identity) }, body, "signature"},
		{"a signature of another body over the right connection", &a.identity, func(x []byte) string { return signed(t, []byte("other"), a.identity) }, body, "signature"},
		{"a signature by a foreign key", nil, func(x []byte) string { return signed(t, x, foreign) }, body, "identity"},
		{"a signature by a foreign key with our certificate", nil, func(x []byte) string {
			return signed(t, x, tls.Certificate{PrivateKey: foreign.PrivateKey, Leaf: a.identity.Leaf})
		}, body, "signature"},
		{"a signature that is no base64", nil, func([]byte) string { return "!!!" }, body, "signature encoding"},
		{"a signature that is no CMS", nil, func([]byte) string { return "AAAA" }, body, "signature"},
		{"a signature of a megabyte", nil, func([]byte) string { return strings.Repeat("A", 900<<10) }, body, "signature"},
	} {
		w.run(t, tc.name, func(t *testing.T) {
			mark := w.log.mark()
			var header []string
			if tc.signature != nil {
				header = []string{"Mdm-Signature", tc.signature(tc.body)}
			}
			c := w.deviceClient(tc.tls)
			for endpoint, kind := range map[string]string{"connect": kindCommand, "checkin": kindCheckIn} {
				got := w.put(c, w.config.DeviceURL+"/mdm/apple/"+endpoint, kind, tc.body, header...)
				if got.status != http.StatusBadRequest {
					t.Errorf("%s answered %d %q, want 400", endpoint, got.status, got.body)
				}
			}
			if lines := w.log.since(mark); !strings.Contains(lines, "device message refused") || !strings.Contains(lines, tc.log) {
				t.Errorf("log: %q", lines)
			}
		})
	}
	w.run(t, "a warning and a thing that needs someone", func(t *testing.T) {
		if !strings.Contains(w.log.text(), "device with our certificate and without record") || !strings.Contains(w.needed(), "need.strangers") {
			t.Errorf("needs: %s", w.needed())
		}
	})
	w.run(t, "of another device, at every check-in", func(t *testing.T) {
		r := *a
		r.be(b.identity)
		for _, kind := range []string{"Authenticate", "TokenUpdate", "CheckOut", "GetBootstrapToken", "SetBootstrapToken", "UserAuthenticate", "DeclarativeManagement"} {
			got := r.checkIn(r.check(kind, "Topic", r.topic, "Token", []byte("tttt"), "PushMagic", "m", "BootstrapToken", []byte("stolen"), "Endpoint", "tokens", "UserID", "u"))
			if got.status != http.StatusBadRequest {
				t.Errorf("%s answered %d %q, want 400", kind, got.status, got.body)
			}
		}
	})
	a.works()
	b.works()
	w.run(t, "revoked while its connection lives", func(t *testing.T) {
		if !resumes(t, w, a) {
			t.Error("the session was not resumed: nothing is shown")
		}
		if err := w.Appliance.fleet.RevokeCertificate(t.Context(), w.Actor, serialOf(w, t, idA)); !errors.Is(err, fleet.ErrConflict) {
			t.Errorf("an administrator cuts off a device for good: %v", err)
		}
		if err := w.Appliance.db.Update(t.Context(), func(tx store.Tx) error {
			return w.Appliance.pki.Revoke(tx, serialOf(w, t, idA), pki.ReasonCessationOfOperation, w.now())
		}); err != nil {
			t.Fatal(err)
		}
		mark := w.log.mark()
		a.want(400, a.connect(a.idle())) // the connection that was open
		a.client.CloseIdleConnections()
		a.want(400, a.connect(a.idle())) // a resumed session
		if lines := w.log.since(mark); !strings.Contains(lines, "what=identity") {
			t.Errorf("log: %s", lines)
		}
		got := w.put(w.deviceClient(nil), w.config.DeviceURL+"/mdm/apple/connect", kindCommand, a.idle(), "Mdm-Signature", signed(t, a.idle(), a.identity))
		if got.status != 400 {
			t.Errorf("its signature is answered %d, want 400", got.status)
		}
	})
	w.run(t, "expired", func(t *testing.T) {
		mark := w.log.mark()
		w.ahead.Store(int64(6 * 365 * 24 * time.Hour))
		defer w.ahead.Store(0)
		b.want(400, b.connect(b.idle()))
		if lines := w.log.since(mark); !strings.Contains(lines, "what=identity") {
			t.Errorf("log: %s", lines)
		}
	})
	b.works()
}

// resumes says whether a second connection of the device resumes the TLS session of the first.
func resumes(t *testing.T, w *strict, r *rogue) bool {
	t.Helper()
	r.client.CloseIdleConnections()
	req, _ := http.NewRequest("PUT", w.config.DeviceURL+"/mdm/apple/connect", bytes.NewReader(r.idle()))
	req.Header.Set("Content-Type", kindCommand)
	resp, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("a resumed session is answered %d", resp.StatusCode)
	}
	return resp.TLS.DidResume
}

// serialOf is the serial number of a device's live management identity.
func serialOf(w *strict, t *testing.T, id fleet.DeviceID) string {
	t.Helper()
	l, err := w.Appliance.fleet.Certificates(t.Context(), w.Actor, fleet.CertificateFilter{Device: id, State: fleet.CertificateLive}, fleet.ListQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range l.Items {
		if c.Purpose == string(pki.Management) {
			return c.Serial
		}
	}
	t.Fatal("no live identity")
	return ""
}

// selfMade is a certificate of nobody's authority.
func selfMade(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "stranger"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// imitate makes a certificate with the names and serial of a real one, issued by somebody who only calls himself our authority.
func imitate(t *testing.T, authority, real *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer := &x509.Certificate{RawSubject: authority.RawSubject, SubjectKeyId: authority.SubjectKeyId, SerialNumber: authority.SerialNumber}
	template := &x509.Certificate{SerialNumber: real.SerialNumber, RawSubject: real.RawSubject, NotBefore: real.NotBefore, NotAfter: real.NotAfter,
		ExtKeyUsage: real.ExtKeyUsage, KeyUsage: real.KeyUsage}
	der, err := x509.CreateCertificate(rand.Reader, template, issuer, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// A 401 would make a device leave: no door of theirs ever says it, whoever knocks with whatever.
func TestDevicesAreNeverSent401(t *testing.T) {
	w := newStrict(t)
	r, _ := w.enrolled("Anna", fleet.Corporate)
	foreign := selfMade(t)
	clients := map[string]*http.Client{"own identity": r.client, "no identity": w.deviceClient(nil), "foreign": w.deviceClient(&foreign)}
	paths := []string{"/", "/mdm", "/mdm/", "/mdm/apple", "/mdm/apple/", "/mdm/apple/checkin", "/mdm/apple/connect", "/mdm/apple/other", "/mdm/apple/checkin/..%2f", "/mdm/windows/x",
		"/scep", "/scep?operation=PKIOperation", "/scep?operation=GetCACaps", "/crl/issuing.crl", "/ocsp", "/api/v1/devices", "/signin", "/enroll/x", "/.well-known/com.apple.remotemanagement", "//mdm//apple//connect"}
	for name, c := range clients {
		for _, method := range []string{"GET", "PUT", "POST", "DELETE"} {
			for _, path := range paths {
				for _, h := range []http.Header{{}, {"Authorization": {"Basic eDp5"}}, {"Content-Type": {kindCheckIn}}, {"Mdm-Signature": {"x"}}} {
					req, _ := http.NewRequest(method, w.config.DeviceURL+path, strings.NewReader("<plist/>"))
					req.Header = h.Clone()
					resp, err := c.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if s := resp.StatusCode; s == 401 || s == 403 || s >= 500 || resp.Header.Get("WWW-Authenticate") != "" {
						t.Errorf("%s %s with %s %v: %s", method, path, name, h, resp.Status)
					}
					if resp.Header.Get("Set-Cookie") != "" {
						t.Errorf("%s %s sets a cookie on a device door", method, path)
					}
				}
			}
		}
	}
	r.works()
}

// Browsers never see a certificate picker; devices are asked.
func TestWhoIsAskedForACertificate(t *testing.T) {
	w := newStrict(t)
	asked := func(addr, name string) bool {
		was := false
		c, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: w.roots, ServerName: name, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			was = true
			return &tls.Certificate{}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "GET /healthz HTTP/1.0\r\n\r\n")
		io.Copy(io.Discard, c)
		if c.ConnectionState().Version < tls.VersionTLS12 {
			t.Error("an old TLS version")
		}
		return was
	}
	public, device := addrOf(w.config.URL), addrOf(w.config.DeviceURL)
	for _, name := range []string{"127.0.0.1", "localhost"} {
		if asked(public, name) {
			t.Errorf("the public port asks a browser for a certificate (%s)", name)
		}
		if !asked(device, name) {
			t.Errorf("the device port does not ask for a certificate (%s)", name)
		}
	}
	// What the device port serves is for devices, and the other way round.
	for url, want := range map[string]int{
		w.config.DeviceURL + "/signin":                   404,
		w.config.DeviceURL + "/api/v1/devices":           404,
		w.config.DeviceURL + "/":                         404,
		w.config.URL + "/mdm/apple/checkin":              404,
		w.config.URL + "/mdm/apple/connect":              404,
		w.config.URL + "/demo/aaaa":                      404,
		w.config.DeviceURL + "/scep?operation=GetCACaps": 200,
	} {
		resp, err := w.browser().Get(url)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("GET %s: %d, want %d", url, resp.StatusCode, want)
		}
	}
	// TLS 1.1 and less, and noise, are turned away without harm.
	if c, err := tls.Dial("tcp", device, &tls.Config{RootCAs: w.roots, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		c.Close()
		t.Error("TLS 1.1 is spoken")
	}
	for _, noise := range [][]byte{[]byte("GET / HTTP/1.1\r\n\r\n"), bytes.Repeat([]byte{0}, 4096), binary.BigEndian.AppendUint32([]byte{0x16, 3, 1, 0xff, 0xff, 1}, 1<<31)} {
		c, err := net.Dial("tcp", device)
		if err != nil {
			t.Fatal(err)
		}
		c.Write(noise)
		c.SetReadDeadline(time.Now().Add(time.Second))
		io.Copy(io.Discard, c)
		c.Close()
	}
	r, _ := w.enrolled("Anna", fleet.Corporate)
	r.works()
}
