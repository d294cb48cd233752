package ui_test

import (
	"net/url"
	"strings"
	"testing"

	"muster/appliance/fleet"
)

const (
	iPhone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1"
	chromeI = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1"
	windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
	macBook = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15"
)

func TestEnrolmentFromLinkToConnected(t *testing.T) {
	d := newDomain()
	s := serve(t, d)
	status, _, body := s.do(t, "GET", "/enroll/phone-code", nil, "User-Agent", iPhone)
	if status != 200 {
		t.Fatalf("status %d", status)
	}
	wants(t, body, "Hello Anna", "Bakkerij De Korenaar", "What will happen", "Serial number", "Your photos", "Lock the screen", "You can end this yourself", "Work mail is for work", `name="accept"`)
	for _, not := range []string{"Erase everything", "Open this page on", "in Safari", "MDM", "SCEP", "payload"} {
		if strings.Contains(body, not) {
			t.Errorf("the page says %q", not)
		}
	}
	if n := strings.Count(body, `data-step="accept"`); n != 1 {
		t.Errorf("%d forms to accept, want 1", n)
	}

	status, _, body = s.do(t, "POST", "/enroll/phone-code", url.Values{"terms": {"terms-3"}}, "User-Agent", iPhone)
	if status != 422 || len(d.accepted) != 0 {
		t.Errorf("without the tick: status %d, accepted %v", status, d.accepted)
	}
	wants(t, body, "Tick the box if you agree")

	status, _, body = s.do(t, "POST", "/enroll/phone-code", url.Values{"terms": {"terms-2"}, "accept": {"on"}}, "User-Agent", iPhone)
	if status != 409 || len(d.accepted) != 0 {
		t.Errorf("old terms: status %d, accepted %v", status, d.accepted)
	}
	wants(t, body, "The terms changed while you were reading", `value="terms-3"`)

	_, path, body := s.do(t, "POST", "/enroll/phone-code", url.Values{"terms": {"terms-3"}, "accept": {"on"}}, "User-Agent", iPhone, "Accept-Language", "nl")
	if path != "/enroll/t/ticket-of-phone-code" {
		t.Errorf("after accepting at %s", path)
	}
	if len(d.accepted) != 1 || d.accepted[0] != "terms-3 nl" {
		t.Errorf("accepted %v, want once in Dutch", d.accepted)
	}
	wants(t, body, `href="/mdm/apple/enroll/ticket-of-phone-code" data-step="profile"`, "Profiel gedownload", "Wachten tot uw iPhone")
	if n := strings.Count(body, `data-step="profile"`); n != 1 {
		t.Errorf("%d links to the profile, want 1", n)
	}

	d.call(fleet.Enrolling)
	_, _, body = s.do(t, "GET", path, nil, "User-Agent", iPhone)
	wants(t, body, "Your iPhone has called in", `hx-trigger="every 4s"`, "called in for the first time",
		`data-step="profile"`, "begin again with step 1") // the first answer may have been lost
	d.call(fleet.Managed)
	_, _, body = s.do(t, "GET", path, nil, "User-Agent", iPhone)
	wants(t, body, "Your iPhone is connected")
	if strings.Contains(body, "hx-get") {
		t.Error("the page keeps asking although all is done")
	}
}

func TestEnrolmentFitsTheDeviceInHand(t *testing.T) {
	d := newDomain()
	s := serve(t, d)
	for _, tc := range []struct {
		name, code, agent string
		want, not         []string
	}{
		{"iPhone invitation on a PC", "phone-code", windows, []string{"Open this page on the iPhone", "<svg viewBox", `data-step="accept"`}, []string{"in Safari"}},
		{"iPhone invitation in another browser", "phone-code", chromeI, []string{"open this page in Safari"}, []string{"Open this page on the iPhone"}},
		{"iPad that says it is a Mac", "phone-code", macBook, []string{"not-touch-mac"}, nil},
		{"Mac invitation on a Mac", "mac-code", macBook, []string{"Use your Mac for", "Erase everything", "System Settings"}, []string{"Open this page on", "You can end this yourself"}},
		{"Mac invitation on an iPhone", "mac-code", iPhone, []string{"Open this page on the Mac"}, nil},
		{"a simulated device", "phone-code", "muster-sim/1", []string{`data-step="accept"`}, []string{"Open this page on"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, body := s.do(t, "GET", "/enroll/"+tc.code, nil, "User-Agent", tc.agent)
			wants(t, body, tc.want...)
			for _, not := range tc.not {
				if strings.Contains(body, not) {
					t.Errorf("the page says %q", not)
				}
			}
		})
	}
}

func TestInvitationsThatCannotBeUsed(t *testing.T) {
	d := newDomain()
	s := serve(t, d)
	for _, tc := range []struct {
		path   string
		status int
		want   string
	}{
		{"/enroll/used-code", 410, "has been used already"},
		{"/enroll/expired-code", 410, "expired on 1 March 2026"},
		{"/enroll/revoked-code", 410, "was withdrawn"},
		{"/enroll/nonsense", 404, "There is no such invitation"},
		{"/enroll/t/old-ticket", 410, "time for downloading the profile is over"},
		{"/enroll/t/nonsense", 404, "no longer valid"},
	} {
		t.Run(tc.path, func(t *testing.T) {
			status, _, body := s.do(t, "GET", tc.path, nil)
			if status != tc.status {
				t.Errorf("status %d, want %d", status, tc.status)
			}
			wants(t, mainOf(body), tc.want, "Marit (toestel 12)")
		})
	}
	if status, _, body := s.do(t, "POST", "/enroll/used-code", url.Values{"terms": {"terms-3"}, "accept": {"on"}}); status != 410 {
		t.Errorf("accepting a used invitation: status %d", status)
	} else {
		wants(t, mainOf(body), "has been used already")
	}
}
