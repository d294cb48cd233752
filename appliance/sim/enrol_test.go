package sim_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"muster/appliance/sim"
)

// options describe a device that trusts s.
func options(s *server, k sim.Kind) sim.Options {
	return sim.Options{Kind: k, Seed: 7, Roots: s.roots(), Keys: deviceKeys()}
}

// enrolled returns a device under management of s.
func enrolled(t *testing.T, s *server, o sim.Options) *sim.Apple {
	t.Helper()
	d := sim.NewApple(o)
	if err := d.EnrolProfile(t.Context(), encode(t, s.enrolment())); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestEnrolThroughPage(t *testing.T) {
	for kind, agent := range map[sim.Kind]string{sim.IPhone: "iPhone; CPU iPhone OS", sim.IPad: "Macintosh", sim.Mac: "Macintosh"} {
		t.Run(string(kind), func(t *testing.T) {
			s := newServer(t)
			s.form, s.profile = acceptForm, encode(t, s.enrolment())
			d := sim.NewApple(options(s, kind))
			if err := d.Enrol(t.Context(), s.URL+"/moved"); err != nil {
				t.Fatal(err)
			}
			want := []string{"Authenticate", "TokenUpdate"}
			if kind == sim.Mac {
				want = append(want, "SetBootstrapToken")
			}
			if got := s.messages(); !slices.Equal(got, want) {
				t.Errorf("check-ins %v, want %v", got, want)
			}
			st := d.State()
			if !st.Enrolled || st.Topic != topic || len(st.Profiles) != 1 || !st.Profiles[0].Enrolment || st.Identity.Serial == "" {
				t.Errorf("state %+v", st)
			}
			if !strings.Contains(st.TermsRead, "We collect the serial number.") || strings.Contains(st.TermsRead, "<") {
				t.Errorf("terms read: %q", st.TermsRead)
			}
			if s.accepted != 1 || !strings.Contains(s.agents[0], agent) {
				t.Errorf("accepted %d times, agent %q", s.accepted, s.agents[0])
			}
			tu := s.checkins[1]
			if tok, _ := tu["Token"].([]byte); len(tok) != 32 || tu["PushMagic"] == "" || tu["Topic"] != topic {
				t.Errorf("TokenUpdate %v", tu)
			}
			if _, has := tu["UnlockToken"]; has != (kind != sim.Mac) {
				t.Errorf("UnlockToken present: %v", has)
			}
			csr := s.csrs[0]
			if csr.Subject.CommonName != "dev-1" || !slices.Equal(csr.EmailAddresses, []string{"a@example.org"}) {
				t.Errorf("request for %v, mail %v", csr.Subject, csr.EmailAddresses)
			}
		})
	}
}

func TestRefusedInvitation(t *testing.T) {
	s := newServer(t)
	s.form = `<main><h1>Expired</h1><p>Ask for a new invitation.</p></main>`
	d := sim.NewApple(options(s, sim.IPhone))
	err := d.Enrol(t.Context(), s.URL+"/enroll")
	if !errors.Is(err, sim.ErrNoForm) || !strings.Contains(err.Error(), "Ask for a new invitation.") {
		t.Errorf("error %v", err)
	}
	if len(s.messages()) != 0 || d.State().LastError == "" {
		t.Errorf("messages %v, last error %q", s.messages(), d.State().LastError)
	}
}

func TestIdentityShown(t *testing.T) {
	for _, c := range []struct {
		name         string
		identity     sim.Identity
		sign         bool
		signed, intl bool
	}{
		{"both", sim.IdentityBoth, true, true, true},
		{"no SignMessage", sim.IdentityBoth, false, false, true},
		{"TLS only", sim.IdentityTLS, true, false, true},
		{"signature only", sim.IdentitySignature, true, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			o := options(s, sim.IPhone)
			o.Identity = c.identity
			e := s.enrolment()
			e["PayloadContent"].([]any)[1].(dict)["SignMessage"] = c.sign
			d := sim.NewApple(o)
			if err := d.EnrolProfile(t.Context(), encode(t, e)); err != nil {
				t.Fatal(err)
			}
			if (s.signed == 2) != c.signed || (s.intls == 2) != c.intl {
				t.Errorf("signed %d, in TLS %d", s.signed, s.intls)
			}
		})
	}
}

// TestSCEPVariants shows that the device copes with what SCEP allows, and fails rightly.
func TestSCEPVariants(t *testing.T) {
	for _, c := range []struct {
		name   string
		set    func(*server, *sim.Options, dict)
		domain string
		code   int
	}{
		{"BER with indefinite lengths", func(_ *server, o *sim.Options, _ dict) { o.Mood.BER = true }, "", 0},
		{"GET when POST is not offered", func(s *server, _ *sim.Options, _ dict) { s.caps = "SHA-256\nAES\n" }, "", 0},
		{"pending, then issued", func(s *server, _ *sim.Options, p dict) { s.pending = 2; p["RetryDelay"] = 0 }, "", 0},
		{"right fingerprint", func(s *server, _ *sim.Options, p dict) { h := sha256.Sum256(s.ca.Raw); p["CAFingerprint"] = h[:] }, "", 0},
		{"wrong fingerprint", func(_ *server, _ *sim.Options, p dict) { p["CAFingerprint"] = make([]byte, 32) }, "MCSCEPErrorDomain", 22002},
		{"pending for ever", func(s *server, _ *sim.Options, p dict) { s.pending = 9; p["RetryDelay"], p["Retries"] = 0, 2 }, "MCSCEPErrorDomain", 22013},
		{"wrong challenge", func(_ *server, _ *sim.Options, p dict) { p["Challenge"] = "twice" }, "MCSCEPErrorDomain", 22013},
		{"weak capabilities", func(s *server, _ *sim.Options, _ dict) { s.caps = "SHA-1\nDES3\n" }, "MCSCEPErrorDomain", 22006},
		{"not there", func(s *server, _ *sim.Options, p dict) { p["URL"] = s.URL + "/elsewhere" }, "MCSCEPErrorDomain", 22005},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			o := options(s, sim.IPhone)
			e := s.enrolment()
			c.set(s, &o, e["PayloadContent"].([]any)[0].(dict)["PayloadContent"].(dict))
			d := sim.NewApple(o)
			err := d.EnrolProfile(t.Context(), encode(t, e))
			if c.domain == "" {
				if err != nil || !d.State().Enrolled {
					t.Errorf("error %v", err)
				}
				if s.ber != o.Mood.BER {
					t.Errorf("request in BER: %v", s.ber)
				}
				return
			}
			wantCause(t, err, c.domain, c.code)
			if st := d.State(); st.Enrolled || len(st.Profiles) != 0 || len(s.messages()) != 0 {
				t.Errorf("something stayed: %+v, messages %v", st.Profiles, s.messages())
			}
		})
	}
}

// wantCause checks the innermost link of a refusal.
func wantCause(t *testing.T, err error, domain string, code int) {
	t.Helper()
	var r *sim.Refusal
	if !errors.As(err, &r) {
		t.Fatalf("error %v, want %s %d", err, domain, code)
	}
	if l := r.Cause(); l.Domain != domain || l.Code != code {
		t.Errorf("refused with %v, want %s %d", r, domain, code)
	}
}

// TestEnrolmentRollsBack shows that a check-in that fails leaves nothing behind.
func TestEnrolmentRollsBack(t *testing.T) {
	for _, c := range []struct {
		message string
		status  int
		code    int
	}{{"Authenticate", 500, 12002}, {"Authenticate", 401, 12020}, {"TokenUpdate", 400, 12002}, {"TokenUpdate", 401, 12020}} {
		t.Run(c.message, func(t *testing.T) {
			s := newServer(t)
			s.answer = func(m dict) (int, string, string) {
				if m["MessageType"] == c.message {
					return c.status, "text/plain", "no"
				}
				return 0, "", ""
			}
			d := sim.NewApple(options(s, sim.IPhone))
			err := d.EnrolProfile(t.Context(), encode(t, s.enrolment()))
			wantCause(t, err, "MCMDMErrorDomain", c.code)
			if st := d.State(); st.Enrolled || len(st.Profiles)+len(st.Certificates) != 0 {
				t.Errorf("something stayed: %+v", st.Profiles)
			}
			if err := d.Connect(t.Context()); !errors.Is(err, sim.ErrUnmanaged) {
				t.Errorf("connect: %v", err)
			}
		})
	}
}

func TestSignedProfile(t *testing.T) {
	s := newServer(t)
	signed := s.signedBy(encode(t, s.enrolment()))
	t.Run("by a root that the device trusts", func(t *testing.T) {
		o := options(s, sim.IPhone)
		o.Roots.AddCert(s.ca)
		d := sim.NewApple(o)
		if err := d.EnrolProfile(t.Context(), signed); err != nil {
			t.Fatal(err)
		}
		if p := d.State().Profiles[0]; !p.Signed || !p.Verified {
			t.Errorf("profile %+v", p)
		}
	})
	t.Run("by somebody unknown", func(t *testing.T) {
		d := sim.NewApple(options(s, sim.IPhone))
		if err := d.EnrolProfile(t.Context(), signed); err != nil {
			t.Fatal(err)
		}
		if p := d.State().Profiles[0]; !p.Signed || p.Verified {
			t.Errorf("profile %+v", p)
		}
	})
	t.Run("changed afterwards", func(t *testing.T) {
		bad := []byte(strings.Replace(string(signed), "example.enrol.mdm", "example.enrol.mdn", 1))
		err := sim.NewApple(options(s, sim.IPhone)).EnrolProfile(t.Context(), bad)
		wantCause(t, err, "MCProfileErrorDomain", 1004)
	})
}

// TestRootInProfile shows that a root that comes with enrolment is trusted from then on.
func TestRootInProfile(t *testing.T) {
	s := newServer(t)
	o := options(s, sim.IPhone)
	o.Roots = nil // the system's, which do not know the test server
	e := s.enrolment()
	d := sim.NewApple(o)
	wantCause(t, d.EnrolProfile(t.Context(), encode(t, e)), "MCSCEPErrorDomain", 22005)
	e["PayloadContent"] = append(e["PayloadContent"].([]any), payloadOf("com.apple.security.root", "example.enrol.root", 9, dict{"PayloadContent": s.Certificate().Raw}))
	if err := d.EnrolProfile(t.Context(), encode(t, e)); err != nil {
		t.Fatal(err)
	}
	if err := d.Connect(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSentAway(t *testing.T) {
	const unrecognized = `{"code":"com.apple.unrecognized.device"}`
	asPlist := `<?xml version="1.0"?><plist version="1.0"><dict><key>code</key><string>com.apple.unrecognized.device</string></dict></plist>`
	for _, c := range []struct {
		name   string
		os     string
		status int
		body   string
		gone   bool
	}{
		{"401", "", http.StatusUnauthorized, "", true},
		{"403 unrecognised in JSON", "", http.StatusForbidden, unrecognized, true},
		{"403 unrecognised as property list", "", http.StatusForbidden, asPlist, true},
		{"403 unrecognised on an old system", "16.7", http.StatusForbidden, unrecognized, false},
		{"403 with another code", "", http.StatusForbidden, `{"code":"com.apple.other"}`, false},
		{"400", "", http.StatusBadRequest, "", false},
		{"500", "", http.StatusInternalServerError, "", false},
		{"503", "", http.StatusServiceUnavailable, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			o := options(s, sim.IPhone)
			o.OSVersion = c.os
			d := enrolled(t, s, o)
			s.mu.Lock()
			s.answer = func(dict) (int, string, string) { return c.status, "application/json", c.body }
			s.mu.Unlock()
			err := d.Connect(t.Context())
			if errors.Is(err, sim.ErrUnmanaged) != c.gone || err == nil {
				t.Errorf("error %v", err)
			}
			st := d.State()
			if st.Enrolled == c.gone || (len(st.Profiles) == 0) != c.gone {
				t.Errorf("enrolled %v, profiles %v", st.Enrolled, st.Profiles)
			}
			s.mu.Lock()
			s.answer = nil
			s.mu.Unlock()
			if err := d.Connect(t.Context()); (err == nil) == c.gone {
				t.Errorf("next connection: %v", err)
			}
		})
	}
}

func TestCancelledContext(t *testing.T) {
	s := newServer(t)
	d := enrolled(t, s, options(s, sim.IPhone))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Connect(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if !d.State().Enrolled {
		t.Error("a cancelled connection ended management")
	}
}
