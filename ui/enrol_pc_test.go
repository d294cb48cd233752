package ui_test

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/ui"
)

// windowsCode stands in for what makes codes: each has a number.
func (d *domain) windowsCode(_ context.Context, ticket string) (ui.WindowsCode, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if ticket == "spent" {
		return ui.WindowsCode{}, fleet.Refuse(fleet.ErrGone, "ticket.expired")
	}
	d.codes++
	return ui.WindowsCode{User: "anna@korenaar.example", Code: "ABCDE0000" + strconv.Itoa(d.codes), Server: "https://mdm.korenaar.example",
		Link: "ms-device-enrollment:?mode=mdm&username=anna%40korenaar.example&servername=https%3A%2F%2Fmdm.korenaar.example", Expires: time.Now().Add(15 * time.Minute)}, nil
}

// A PC's page shows the way into Windows, in the person's language, and following the progress ends no code.
func TestPCEnrolment(t *testing.T) {
	d := newDomain()
	s := serve(t, d)
	_, _, body := s.do(t, "GET", "/enroll/pc-code", nil, "User-Agent", windows)
	wants(t, body, "Use your PC for", "You connect the PC", `data-step="accept"`)
	for _, not := range []string{"install a profile", "Open this page on", "Safari"} {
		if strings.Contains(body, not) {
			t.Errorf("the page says %q", not)
		}
	}
	_, path, body := s.do(t, "POST", "/enroll/pc-code", url.Values{"terms": {"terms-3"}, "accept": {"on"}}, "User-Agent", windows)
	wants(t, body, `href="ms-device-enrollment:?mode=mdm&amp;username=anna%40korenaar.example&amp;servername=https%3A%2F%2Fmdm.korenaar.example" data-step="windows"`,
		"anna@korenaar.example", ">ABCDE 00001<", "Access work or school", "Enrol only in device management", "https://mdm.korenaar.example", "Waiting for your PC", `hx-trigger="every 4s"`)
	if strings.Contains(body, `data-step="profile"`) {
		t.Error("a PC is offered Apple's profile")
	}

	_, _, body = s.do(t, "GET", path, nil, "User-Agent", windows, "HX-Request", "true")
	wants(t, body, `id="progress"`, "Waiting for your PC")
	if d.codes != 1 || strings.Contains(body, "data-code") {
		t.Errorf("following the progress made a code: %d", d.codes)
	}
	_, _, body = s.do(t, "GET", path, nil, "User-Agent", iPhone, "Accept-Language", "nl")
	wants(t, body, ">ABCDE 00002<", "Open deze pagina op de pc", "Toegang tot werk of school", "Alleen registreren bij apparaatbeheer", "Wachten tot uw pc")

	d.tickets["spent"] = "pc-code"
	if status, _, body := s.do(t, "GET", "/enroll/t/spent", nil, "User-Agent", windows); status != 410 || strings.Contains(body, "ABCDE") {
		t.Errorf("a spent ticket: status %d", status)
	}
	d.call(fleet.Enrolling)
	d.device.Platform = fleet.Windows
	_, _, body = s.do(t, "GET", path, nil, "User-Agent", windows)
	wants(t, body, "Your PC has called in", ">ABCDE 00003<", `data-step="windows"`)
	d.call(fleet.Managed)
	d.device.Platform = fleet.Windows
	_, _, body = s.do(t, "GET", path, nil, "User-Agent", windows)
	wants(t, body, "Your PC is connected")
	if d.codes != 3 {
		t.Errorf("a connected PC got a code: %d", d.codes)
	}
}
