package appliance

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/micromdm/scep/v2/cryptoutil/x509util"

	"muster/appliance/fleet"
)

// status of a GET as a browser without cookies makes it.
func (s *strict) get(link string) (int, string, http.Header) {
	s.t.Helper()
	b := s.browser()
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := b.Get(link)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(body), resp.Header
}

func (s *strict) invite(in fleet.InvitationInput) (*fleet.Invitation, string) {
	s.t.Helper()
	in.Person, in.Platform, in.Mode, in.Ownership = s.people["Anna"], fleet.IOS, fleet.ModeDevice, fleet.Corporate
	inv, code, err := s.Appliance.fleet.Invite(s.t.Context(), s.Actor, in)
	if err != nil {
		s.t.Fatal(err)
	}
	return inv, s.config.URL + "/enroll/" + code
}

// A closed invitation is refused at the page, at the button and at the ticket, in plain words, and is not used further.
func TestClosedInvitations(t *testing.T) {
	w := newStrict(t)
	w.run(t, "a mail scanner opens the link a hundred times", func(t *testing.T) {
		inv, link := w.invite(fleet.InvitationInput{})
		for range 100 {
			if status, _, h := w.get(link); status != 200 || h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" {
				t.Fatalf("answered %d, %v", status, h)
			}
		}
		now, err := w.Appliance.fleet.Invitation(t.Context(), w.Actor, inv.ID)
		if err != nil || now.Used != 0 {
			t.Fatalf("used %d times: %v", now.Used, err)
		}
		r := w.newRogue()
		r.enrol(link)
		r.works()
	})
	w.run(t, "used up", func(t *testing.T) {
		_, link := w.invite(fleet.InvitationInput{})
		r := w.newRogue()
		r.enrol(link)
		if status, body, _ := w.get(link); status != http.StatusGone || !strings.Contains(body, "it@noordhaven.example") {
			t.Errorf("the page answers %d without saying whom to ask: %.300s", status, body)
		}
		if status, _, _ := w.press(link); status != http.StatusGone {
			t.Errorf("the button answers %d", status)
		}
		r.works()
	})
	w.run(t, "expired", func(t *testing.T) {
		inv, link := w.invite(fleet.InvitationInput{Lifetime: time.Hour})
		form := w.acceptForm(link)
		w.ahead.Add(int64(2 * time.Hour))
		defer w.ahead.Add(-int64(2 * time.Hour))
		if status, _, _ := w.get(link); status != http.StatusGone {
			t.Errorf("the page answers %d", status)
		}
		if status := w.post(link, form); status != http.StatusGone {
			t.Errorf("a page that lay open answers %d", status)
		}
		if now, err := w.Appliance.fleet.Invitation(t.Context(), w.Actor, inv.ID); err != nil || now.Used != 0 {
			t.Errorf("used %d times: %v", now.Used, err)
		}
	})
	w.run(t, "revoked, at each step of the way", func(t *testing.T) {
		revoke := func(inv *fleet.Invitation) {
			if err := w.Appliance.fleet.RevokeInvitation(t.Context(), w.Actor, inv.ID); err != nil {
				t.Fatal(err)
			}
		}
		inv, link := w.invite(fleet.InvitationInput{Uses: 5})
		form := w.acceptForm(link)
		begun := w.newRogue()
		begun.open(link)
		named := w.newRogue()
		named.open(link)
		named.obtain()
		enrolled := w.newRogue()
		enrolled.enrol(link)
		revoke(inv)
		if status, _, _ := w.get(link); status != http.StatusGone {
			t.Errorf("the page answers %d", status)
		}
		if status := w.post(link, form); status != http.StatusGone {
			t.Errorf("a page that lay open answers %d", status)
		}
		if status, _, _ := w.get(w.config.URL + profileAddress(begun.ticket)); status != http.StatusGone {
			t.Errorf("the profile is answered %d", status)
		}
		if _, err := w.scep(begun.key, begun.challenge, pkix.Name{}); !errors.Is(err, errSCEP) {
			t.Errorf("its challenge is worth a certificate: %v", err)
		}
		if a := named.checkIn(named.authenticate()); a.status != 400 {
			t.Errorf("Authenticate is answered %d", a.status)
		}
		if named.device() != nil {
			t.Error("a device came of it")
		}
		enrolled.works()
	})
	w.run(t, "guessed", func(t *testing.T) {
		_, link := w.invite(fleet.InvitationInput{})
		limited := 0
		for i := range 40 {
			status, _, h := w.get(w.config.URL + "/enroll/" + strings.Repeat("a", 25) + string(rune('b'+i%20)))
			switch {
			case status == http.StatusTooManyRequests && h.Get("Retry-After") != "":
				limited++
			case status != http.StatusNotFound:
				t.Fatalf("a guess is answered %d", status)
			}
		}
		if limited < 15 {
			t.Errorf("only %d of 40 guesses were limited", limited)
		}
		if status := w.post(w.config.URL+"/enroll/"+strings.Repeat("c", 26), url.Values{"accept": {"yes"}, "terms": {"x"}}); status != http.StatusTooManyRequests && status != http.StatusNotFound {
			t.Errorf("a guess by POST is answered %d", status)
		}
		// Whoever holds a true link is not locked out by his neighbour behind the same address.
		r := w.newRogue()
		r.enrol(link)
		r.works()
	})
	w.run(t, "hostile codes and tickets", func(t *testing.T) {
		for _, code := range []string{"%00", "%2e%2e%2f", "%3Cscript%3Ealert(1)%3C/script%3E", strings.Repeat("a", 5000), "%E2%80%AE", "a/b", "%"} {
			for _, path := range []string{"/enroll/", "/enroll/t/", "/enroll-profile/"} {
				tail := ""
				if path == "/enroll-profile/" {
					tail = "/muster.mobileconfig"
				}
				c, err := net.Dial("tcp", addrOf(w.config.URL))
				if err != nil {
					t.Fatal(err)
				}
				c.Close()
				req, err := http.NewRequest("GET", w.config.URL+path+code+tail, nil)
				if err != nil {
					continue
				}
				resp, err := w.browser().Do(req)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if s := resp.StatusCode; s != 404 && s != 410 && s != 429 && s != 400 {
					t.Errorf("%s%.60s: %d", path, code, s)
				}
				if strings.Contains(string(body), "<script>alert") {
					t.Errorf("%s%.60s comes back as it is", path, code)
				}
			}
		}
	})
}

// acceptForm is the filled-in form of an enrolment page.
func (s *strict) acceptForm(link string) url.Values {
	s.t.Helper()
	_, page, _ := s.get(link)
	form := url.Values{"accept": {"yes"}}
	for _, input := range hidden.FindAllString(page, -1) {
		var name, value string
		for _, a := range attr.FindAllStringSubmatch(input, -1) {
			if a[1] == "name" {
				name = a[2]
			} else {
				value = a[2]
			}
		}
		form.Set(name, value)
	}
	return form
}

func (s *strict) post(link string, form url.Values) int {
	s.t.Helper()
	b := s.browser()
	b.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := b.PostForm(link, form)
	if err != nil {
		s.t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return resp.StatusCode
}

// A ticket and a challenge are worth one device.
func TestTicketsAndChallenges(t *testing.T) {
	w := newStrict(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	w.run(t, "a ticket after enrolment", func(t *testing.T) {
		_, link := w.invite(fleet.InvitationInput{})
		r := w.newRogue()
		r.enrol(link)
		if status, body, _ := w.get(w.config.URL + profileAddress(r.ticket)); status != http.StatusGone || strings.Contains(body, "PayloadContent") {
			t.Errorf("the profile is answered %d", status)
		}
		if status, body, _ := w.get(w.config.URL + "/enroll/t/" + r.ticket); status != 200 || strings.Contains(body, "muster.mobileconfig") {
			t.Errorf("the page that shows progress answers %d: %.300s", status, body)
		}
		r.works()
	})
	w.run(t, "a ticket after its hour", func(t *testing.T) {
		_, link := w.invite(fleet.InvitationInput{})
		r := w.newRogue()
		r.open(link)
		w.ahead.Add(int64(2 * time.Hour))
		defer w.ahead.Add(-int64(2 * time.Hour))
		if status, _, _ := w.get(w.config.URL + profileAddress(r.ticket)); status != http.StatusGone {
			t.Errorf("answered %d", status)
		}
	})
	w.run(t, "a challenge again with another key", func(t *testing.T) {
		_, link := w.invite(fleet.InvitationInput{})
		r := w.newRogue()
		r.open(link)
		r.obtain()
		mark := w.log.mark()
		if _, err := w.scep(other, r.challenge, pkix.Name{CommonName: "phone"}); !errors.Is(err, errSCEP) {
			t.Errorf("another key got a certificate: %v", err)
		}
		if lines := w.log.since(mark); !strings.Contains(lines, "scep request refused") || strings.Contains(lines, r.challenge) {
			t.Errorf("log: %s", lines)
		}
		r.want(200, r.checkIn(r.authenticate()))
		r.want(200, r.checkIn(r.tokenUpdate()))
		r.works()
	})
	w.run(t, "a challenge again with the same key", func(t *testing.T) {
		_, link := w.invite(fleet.InvitationInput{})
		r := w.newRogue()
		r.open(link)
		r.obtain()
		again, err := w.scep(r.key, r.challenge, pkix.Name{CommonName: "phone"})
		if err != nil || !again.Equal(r.identity.Leaf) {
			t.Errorf("not the same certificate: %v", err)
		}
		r.want(200, r.checkIn(r.authenticate()))
		r.want(200, r.checkIn(r.tokenUpdate()))
		r.works()
	})
	w.run(t, "a challenge that was never used, of a device that has enrolled", func(t *testing.T) {
		_, link := w.invite(fleet.InvitationInput{})
		r := w.newRogue()
		r.open(link)
		first := r.challenge
		r.download()
		if r.challenge == first {
			t.Fatal("the same challenge twice")
		}
		r.obtain()
		r.want(200, r.checkIn(r.authenticate()))
		r.want(200, r.checkIn(r.tokenUpdate()))
		if cert, err := w.scep(other, first, pkix.Name{CommonName: "phone"}); !errors.Is(err, errSCEP) {
			t.Errorf("a second identity of an enrolled device: %v, %v", cert != nil, err)
		}
		r.works()
	})
	w.run(t, "two identities before the device calls", func(t *testing.T) {
		_, link := w.invite(fleet.InvitationInput{})
		r := w.newRogue()
		r.open(link)
		first := r.challenge
		r.download()
		r.obtain()
		second, err := w.scep(other, first, pkix.Name{CommonName: "phone"})
		if err != nil {
			t.Fatal(err)
		}
		r.want(200, r.checkIn(r.authenticate()))
		r.want(200, r.checkIn(r.tokenUpdate()))
		twin := *r
		twin.be(tls.Certificate{Certificate: [][]byte{second.Raw}, PrivateKey: other, Leaf: second})
		twin.want(400, twin.connect(twin.idle()))
		twin.want(400, twin.checkIn(twin.check("CheckOut", "Topic", r.topic)))
		r.works()
	})
	w.run(t, "an enrolment whose answers were lost is begun anew with the same ticket", func(t *testing.T) {
		_, link := w.invite(fleet.InvitationInput{})
		r := w.newRogue()
		r.open(link)
		r.obtain()
		r.want(200, r.checkIn(r.authenticate())) // and the phone never hears it: it undoes the installation
		id := r.id()
		again := w.again(r)
		again.ticket = r.ticket
		again.download()
		again.obtain()
		again.want(200, again.checkIn(again.authenticate()))
		again.want(200, again.checkIn(again.tokenUpdate()))
		if again.id() != id {
			t.Error("another device")
		}
		again.works()
		r.want(400, r.connect(r.idle()))
		if status, _, _ := w.get(w.config.URL + profileAddress(r.ticket)); status != http.StatusGone {
			t.Errorf("the profile is answered %d", status)
		}
	})
	w.run(t, "a challenge after its time", func(t *testing.T) {
		_, link := w.invite(fleet.InvitationInput{})
		r := w.newRogue()
		r.open(link)
		w.ahead.Add(int64(48 * time.Hour))
		defer w.ahead.Add(-int64(48 * time.Hour))
		if _, err := w.scep(r.key, r.challenge, pkix.Name{CommonName: "phone"}); !errors.Is(err, errSCEP) {
			t.Errorf("an old challenge is worth a certificate: %v", err)
		}
	})
	w.run(t, "invented and empty challenges", func(t *testing.T) {
		for _, c := range []string{"", "A", strings.Repeat("A", 32), strings.Repeat("A", 10_000)} {
			if _, err := w.scep(other, c, pkix.Name{CommonName: "phone"}); !errors.Is(err, errSCEP) {
				t.Errorf("challenge %.10q: %v", c, err)
			}
		}
	})
	w.run(t, "a request that asks for more than our record says", func(t *testing.T) {
		_, link := w.invite(fleet.InvitationInput{})
		r := w.newRogue()
		r.open(link)
		usage, _ := asn1.Marshal([]asn1.ObjectIdentifier{{1, 3, 6, 1, 5, 5, 7, 3, 1}, {1, 3, 6, 1, 5, 5, 7, 3, 3}})
		authority, _ := asn1.Marshal(struct{ CA bool }{true})
		cert, err := w.scepRequest(r.key, x509util.CertificateRequest{ChallengePassword: r.challenge, CertificateRequest: x509.CertificateRequest{
			Subject:  pkix.Name{CommonName: "Domain Admins", Organization: []string{"Somebody Else"}},
			DNSNames: []string{"muster.noordhaven.example"}, EmailAddresses: []string{"director@noordhaven.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
			ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Value: usage}, {Id: asn1.ObjectIdentifier{2, 5, 29, 19}, Critical: true, Value: authority}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if cert.IsCA || len(cert.DNSNames)+len(cert.EmailAddresses)+len(cert.IPAddresses)+len(cert.URIs) > 0 || strings.Contains(cert.Subject.String(), "Domain Admins") || strings.Contains(cert.Subject.String(), "Somebody") {
			t.Errorf("the request had its way: %s %v", cert.Subject, cert.DNSNames)
		}
		if len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || len(cert.UnknownExtKeyUsage) > 0 || cert.KeyUsage&x509.KeyUsageCertSign != 0 {
			t.Errorf("usage %v %v", cert.ExtKeyUsage, cert.KeyUsage)
		}
		if sha256.Sum256(cert.RawSubjectPublicKeyInfo) != sha256.Sum256(mustSPKI(t, &r.key.PublicKey)) {
			t.Error("another key")
		}
	})
	w.run(t, "a weak key", func(t *testing.T) {
		_, link := w.invite(fleet.InvitationInput{})
		r := w.newRogue()
		r.open(link)
		weak, err := rsa.GenerateKey(rand.Reader, 1024)
		if err != nil {
			t.Skip("this Go makes no weak keys: ", err)
		}
		if _, err := w.scep(weak, r.challenge, pkix.Name{CommonName: "phone"}); !errors.Is(err, errSCEP) {
			t.Errorf("1024 bits: %v", err)
		}
		r.obtain() // and the challenge is not used up by it
	})
	w.run(t, "noise at the authority's door", func(t *testing.T) {
		for _, tc := range []struct {
			method, query, body string
			status              int
		}{
			{"GET", "", "", 400}, {"GET", "operation=Nothing", "", 400}, {"GET", "operation=PKIOperation&message=%25%25", "", 400}, {"GET", "operation=PKIOperation&message=AAAA", "", 400},
			{"POST", "operation=PKIOperation", "", 400}, {"POST", "operation=PKIOperation", strings.Repeat("0", 1<<20), 400}, {"POST", "operation=PKIOperation", strings.Repeat("0", 2<<20), 413},
			{"POST", "operation=PKIOperation", "0\x80" + strings.Repeat("0\x80", 50_000), 400}, {"PUT", "operation=PKIOperation", "x", 405}, {"DELETE", "", "", 405},
		} {
			req, err := http.NewRequest(tc.method, w.config.DeviceURL+"/scep?"+tc.query, strings.NewReader(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := w.deviceClient(nil).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != tc.status {
				t.Errorf("%s %s with %d bytes: %d, want %d", tc.method, tc.query, len(tc.body), resp.StatusCode, tc.status)
			}
		}
	})
}

func mustSPKI(t *testing.T, k *rsa.PublicKey) []byte {
	t.Helper()
	b, err := x509.MarshalPKIXPublicKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
