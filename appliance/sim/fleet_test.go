package sim_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/appliance/sim"
)

// output is a buffer for several writers.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) { o.mu.Lock(); defer o.mu.Unlock(); return o.b.Write(p) }

func (o *output) String() string { o.mu.Lock(); defer o.mu.Unlock(); return o.b.String() }

func fleetServer(t testing.TB) (*server, sim.FleetOptions) {
	s := newServer(t)
	s.form, s.profile = acceptForm, encode(t, s.enrolment())
	return s, sim.FleetOptions{Link: s.URL + "/enroll", Platform: "ios", Roots: s.roots(), Keys: 2}
}

func TestFleet(t *testing.T) {
	s, o := fleetServer(t)
	var out output
	o.Count, o.Out = 9, &out
	r, err := sim.RunFleet(t.Context(), o)
	if err != nil || r.Enrolled != 9 || r.Failed != 0 {
		t.Fatalf("%+v %v\n%s", r, err, out.String())
	}
	if n := s.idle(); n != 9 {
		t.Errorf("%d connections", n)
	}
	if !strings.Contains(out.String(), "9 of 9 devices enrolled") {
		t.Errorf("output %q", out.String())
	}
	eventually(t, "every device to hang up", func() bool { return s.connections.Load() == 0 })
	seen, pads := map[any]bool{}, 0
	for _, m := range s.checkins {
		if m["MessageType"] == "Authenticate" {
			seen[m["UDID"]] = true
			if strings.HasPrefix(m["ProductName"].(string), "iPad") {
				pads++
			}
		}
	}
	if len(seen) != 9 || pads != 2 {
		t.Errorf("%d devices, %d iPads", len(seen), pads)
	}
}

func TestFleetStays(t *testing.T) {
	s, o := fleetServer(t)
	o.Count, o.Platform, o.Stay, o.Poll, o.Identity = 3, "macos", true, 10*time.Millisecond, sim.IdentitySignature
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type ended struct {
		r   sim.FleetResult
		err error
	}
	done := make(chan ended, 1)
	go func() { r, err := sim.RunFleet(ctx, o); done <- ended{r, err} }()
	eventually(t, "several rounds", func() bool {
		ready := 0
		for _, m := range s.messages() {
			if m == "SetBootstrapToken" {
				ready++
			}
		}
		return ready == 3 && s.idle() > 12
	})
	cancel()
	select {
	case e := <-done:
		if e.err != nil || e.r.Enrolled != 3 || e.r.Failed != 0 {
			t.Errorf("%+v %v", e.r, e.err)
		}
	case <-time.After(time.Minute):
		t.Fatal("the fleet did not end")
	}
	if s.intls != 0 {
		t.Errorf("%d messages showed a certificate in TLS", s.intls)
	}
}

func TestFleetRefused(t *testing.T) {
	s, o := fleetServer(t)
	s.form, o.Count = "<main>This invitation has been used up.</main>", 2
	r, err := sim.RunFleet(t.Context(), o)
	if !errors.Is(err, sim.ErrFleet) || !errors.Is(err, sim.ErrNoForm) || r.Failed != 2 {
		t.Errorf("%+v %v", r, err)
	}
	o.Platform = "beos"
	if _, err := sim.RunFleet(t.Context(), o); !errors.Is(err, sim.ErrFleet) {
		t.Errorf("unknown platform: %v", err)
	}
}

// BenchmarkFleet enrols b.N devices; the test server's own work is in the figure.
func BenchmarkFleet(b *testing.B) {
	_, o := fleetServer(b)
	o.Count, o.Keys = b.N, 16
	b.ResetTimer()
	r, err := sim.RunFleet(b.Context(), o)
	if err != nil || r.Enrolled != b.N {
		b.Fatal(r, err)
	}
	b.ReportMetric(float64(b.N)/r.Took.Seconds(), "enrolments/s")
}
