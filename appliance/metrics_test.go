package appliance

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// Prometheus gets every part's numbers from this machine or with a token; nothing in them names a device or a person.
func TestMetricsTellNumbersAndNoNames(t *testing.T) {
	w := newWorldWith(t, t.TempDir(), func(c *Config) { c.Metrics = "127.0.0.1:0" })
	phone, id := w.device(sim.Options{Kind: sim.IPhone, Name: "Anna's iPhone", Seed: 61, Passcode: "482913", Poll: time.Hour}, "Anna", fleet.Corporate)
	w.settle(id, fleet.StatusSucceeded)
	w.sync(phone, id)
	w.ran("compaction", time.Time{}) // at the start, by itself
	if err := w.Appliance.fleet.RunJob(t.Context(), w.Actor, "compaction"); err != nil {
		t.Fatal(err)
	}
	w.eventually("the job has ended", func() bool {
		j, err := w.Appliance.fleet.Job(t.Context(), w.Actor, "compaction")
		return err == nil && j.Last != nil && j.Last.Ended != nil
	})
	w.eventually("a push is answered", func() bool { // the first orders may have been fetched by a call that was under way
		if w.Appliance.fleet.Tallies()[fleet.Tally{What: fleet.TallyPush, Of: "ios", Result: "accepted"}] > 0 {
			return true
		}
		w.sync(phone, id)
		return false
	})
	_, secret, err := w.Appliance.fleet.CreateToken(t.Context(), w.Actor, "scrape", []fleet.Permission{fleet.SettingsRead}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	_, weak, err := w.Appliance.fleet.CreateToken(t.Context(), w.Actor, "weak", []fleet.Permission{fleet.DevicesRead}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	open := "http://" + w.Appliance.numbers.Addr().String()
	get := func(base, path, host string, header ...string) (int, string) {
		t.Helper()
		req, _ := http.NewRequestWithContext(t.Context(), "GET", base+path, nil)
		if host != "" {
			req.Host = host
		}
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := w.browser().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	status, text := get(open, "/metrics", "")
	if status != 200 {
		t.Fatalf("from this machine: %d %s", status, text)
	}
	for _, want := range []string{
		`muster_http_requests_total{class="apple",status="2xx"}`, `muster_http_request_seconds_bucket{class="apple",le="0.1"}`,
		`muster_exchanges_total{outcome="handed-out"}`, `muster_pushes_total{platform="ios",result="accepted"}`,
		`muster_devices{state="managed"} 1`, `muster_devices_by_platform{platform="ios"} 1`, `muster_profile_deliveries{status="succeeded"}`,
		`muster_orders{state="done"} `, `muster_certificates_ending{days="90"}`, `muster_own_certificate_ends_seconds{kind="tls",name="127.0.0.1"}`,
		`muster_own_certificate_ends_seconds{kind="push",name=""}`, `muster_needs{code="need.revocation-https",severity="hint"} 1`,
		`muster_job_failed{job="compaction"} 0`, `muster_store_syncs_total`, `muster_store_sync_seconds_total`, `muster_store_bytes`, `go_goroutines`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, name := range []string{"Anna", "anna@", string(id), phone.State().Serial, phone.State().UDID, "Noordhaven"} {
		if strings.Contains(text, name) {
			t.Errorf("the metrics name %q", name)
		}
	}
	public := w.Appliance.config.URL
	for what, c := range map[string]struct {
		want       int
		base, host string
		header     []string
	}{
		"from this machine, as behind a proxy that passes TLS through": {401, public, "", nil},
		"passed on by a proxy":              {401, public, "", []string{"X-Forwarded-For", "203.0.113.9"}},
		"under the public name":             {401, public, "muster.test", nil},
		"with a token":                      {200, public, "muster.test", []string{"Authorization", "Bearer " + secret}},
		"with a token that may not":         {401, public, "muster.test", []string{"Authorization", "Bearer " + weak}},
		"with a token of another making":    {401, public, "muster.test", []string{"Authorization", "Bearer " + secret + "x"}},
		"a stranger's name that leads here": {421, open, "rebound.example", nil},
	} {
		if got, _ := get(c.base, "/metrics", c.host, c.header...); got != c.want {
			t.Errorf("%s: %d, want %d", what, got, c.want)
		}
	}
	if status, text := get(public, "/readyz", ""); status != 200 || text != "ready\n" {
		t.Errorf("readiness for everybody: %d %q", status, text)
	}
	if err := w.Appliance.fleet.AfterRestore(t.Context(), time.Now()); err != nil { // now something does
		t.Fatal(err)
	}
	if status, text := get(open, "/readyz", ""); status != 200 || !strings.Contains(text, "\nneed.restored ") {
		t.Errorf("readiness with what needs a person: %d %q", status, text)
	}
	if status, text := get(public, "/readyz", ""); status != 200 || text != "ready\n" {
		t.Errorf("readiness for everybody tells more: %d %q", status, text)
	}
	for _, path := range []string{"/", "/api/v1/devices", "/healthz"} {
		if status, _ := get(open, path, ""); status != 404 {
			t.Errorf("%s beside the metrics: %d", path, status)
		}
	}
	for _, bad := range []string{":9464", "0.0.0.0:9464", "192.0.2.1:9464", "127.0.0.1"} {
		if _, err := ParseServe([]string{"--metrics", bad}, io.Discard); err == nil {
			t.Errorf("--metrics %s is taken", bad)
		}
	}
}
