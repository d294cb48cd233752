package sim_test

import (
	"strings"
	"testing"
	"time"

	"muster/appliance/sim"
)

func TestWindowsFleet(t *testing.T) {
	s := newWinServer(t)
	s.queue = []string{get("./DevDetail/SwV")}
	var out output
	r, err := sim.RunFleet(t.Context(), sim.FleetOptions{Link: s.link(), Platform: "windows", Roots: s.options().Roots, Keys: 2, Count: 4, Out: &out, Poll: time.Hour})
	if err != nil || r.Enrolled != 4 || r.Failed != 0 || r.Commands != 1 {
		t.Fatalf("%+v %v\n%s", r, err, out.String())
	}
	if !strings.Contains(out.String(), "4 of 4 devices enrolled") {
		t.Errorf("output %q", out.String())
	}
	seen := map[string]bool{}
	for _, m := range s.received {
		seen[m.Hdr.Source.LocURI] = true
	}
	if len(seen) != 4 {
		t.Errorf("%d PCs had a session", len(seen))
	}
}

// BenchmarkWindowsSession runs empty sessions of one PC, each with its own TLS connection;
// the test server's own work is in the figure.
func BenchmarkWindowsSession(b *testing.B) {
	s := newWinServer(b)
	d := s.pc(nil)
	for b.Loop() {
		s.mu.Lock()
		s.received, s.bodies = nil, nil
		s.mu.Unlock()
		if err := d.Session(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "sessions/s")
}
