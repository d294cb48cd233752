package appliance

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// microsoft stands in for the token service and WNS: it gives one token, and wakes the PC whose channel is pushed to.
type microsoft struct {
	channel string
	wake    func()
}

func (m *microsoft) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := func(status int, body string) (*http.Response, error) {
		return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
	switch {
	case r.URL.Host == "login.live.com":
		return answer(200, `{"access_token":"t","expires_in":86400}`)
	case r.URL.String() == m.channel && r.Header.Get("Authorization") == "Bearer t":
		m.wake()
		return answer(200, "")
	}
	return answer(404, "")
}

// TestPCIsWoken is a PC that would call only tomorrow: what is assigned to it arrives because it is pushed, through the same wakes that wake a phone.
func TestPCIsWoken(t *testing.T) {
	wns := &microsoft{channel: "https://db5p.notify.windows.com/?token=carla"}
	calls := make(chan struct{}, 100)
	wns.wake = func() {
		select {
		case calls <- struct{}{}:
		default:
		}
	}
	w := newWorldWith(t, t.TempDir(), func(c *Config) { c.WNS = wns })
	f := w.Appliance.fleet
	if _, err := f.SaveWindowsPush(t.Context(), w.Actor, fleet.WindowsPushInput{Family: "Example.Muster_8wekyb3d8bbwe", SID: "s-1-15-2-1-2-3-4-5-6-7", Secret: "s"}); err != nil {
		t.Fatal(err)
	}
	pc := sim.NewWindows(sim.WindowsOptions{Name: "CARLA-LAPTOP", Seed: 8, Roots: w.roots, Channel: wns.channel})
	if err := pc.Enrol(t.Context(), w.invitation("Carla", fleet.Windows, fleet.Corporate, 1)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan struct{})
	go func() { // the PC's push client, which is all that makes it call
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-calls:
				_ = pc.Push(ctx)
			}
		}
	}()
	defer func() { cancel(); <-done }()
	d, err := f.DeviceByHardware(t.Context(), strings.ToUpper(pc.State().DeviceID))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // it calls after enrolment, and learns the name
		if err := pc.Session(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	a, err := f.Act(t.Context(), w.Actor, d.ID, fleet.ActRestart, fleet.ActionOptions{}, "")
	if err != nil {
		t.Fatal(err)
	}
	w.eventually("the pushed PC has restarted", func() bool {
		got, err := f.Action(t.Context(), w.Actor, a.ID)
		return err == nil && got.State == fleet.ActionDone
	})
	if got, err := f.Action(t.Context(), w.Actor, a.ID); err != nil || got.Ended.Sub(got.Created) > time.Minute {
		t.Errorf("it took from %v to %v", got.Created, got.Ended)
	}
}
