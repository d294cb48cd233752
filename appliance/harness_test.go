package appliance

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// world is the real appliance over real TLS with a real store on disk, set up as an administrator does on the first day, and
// the stand-in for Apple's push service.
type world struct {
	*DemoRun
	t      testing.TB
	roots  *x509.CertPool
	config Config
	stop   func()
}

// newWorld starts one. What is on top of the first day's set-up is up to the test.
func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldIn(t, t.TempDir())
}

func newWorldIn(t testing.TB, dir string) *world {
	t.Helper()
	return newWorldWith(t, dir, func(*Config) {})
}

// newWorldWith lets a test change the configuration before anything starts: its clock, its log.
func newWorldWith(t testing.TB, dir string, change func(*Config)) *world {
	t.Helper()
	besideOthers(t)
	apns, err := sim.NewAPNs()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { apns.Close() })
	c, err := demoConfig(DemoConfig{Data: filepath.Join(dir, "data"), Listen: "127.0.0.1:" + ownPort(t)}, apns, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	c.demo, c.TLS, c.DeviceURL = false, "", "https://127.0.0.1:"+ownPort(t)
	change(&c)
	w := &world{t: t, config: c, DemoRun: &DemoRun{APNs: apns, log: testLog(t)}}
	w.start()
	if err := w.prepare(t.Context()); err != nil {
		t.Fatalf("set-up: %v", err)
	}
	return w
}

// besides holds the tests that run beside others already: a test may start several worlds.
var besides sync.Map

// besideOthers lets a whole test run beside others: it has an appliance of its own, and waits for answers most of its time.
func besideOthers(t testing.TB) {
	test, ok := t.(*testing.T)
	if !ok || strings.Contains(t.Name(), "/") { // the steps of one test come one after the other
		return
	}
	if _, already := besides.LoadOrStore(test, true); !already {
		test.Cleanup(func() { besides.Delete(test) }) // a test that is held on to holds its whole appliance
		test.Parallel()
	}
}

// start opens the appliance on its directory and serves; restart does so again.
func (w *world) start() {
	w.t.Helper()
	a, err := Open(w.t.Context(), w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	run := a.Run
	if _, bench := w.t.(*testing.B); bench {
		run = a.RunProcess // what is measured is what is installed
	}
	go func() { done <- run(ctx) }()
	stopped := false
	w.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("appliance ended: %v", err)
		}
		if err := a.Close(); err != nil {
			w.t.Errorf("closing: %v", err)
		}
	}
	w.t.Cleanup(w.stop)
	w.Appliance = a
	w.roots = x509.NewCertPool()
	w.roots.AddCert(a.pki.Root())
}

func (w *world) restart() {
	w.t.Helper()
	w.stop()
	w.start()
}

func testLog(testing.TB) *slog.Logger {
	if os.Getenv("MUSTER_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}

// invitation returns a link for a person ("" = a device with no person).
func (w *world) invitation(person string, p fleet.Platform, o fleet.Ownership, uses int) string {
	w.t.Helper()
	_, code, err := w.Appliance.fleet.Invite(w.t.Context(), w.Actor, fleet.InvitationInput{Person: w.people[person], Platform: p, Mode: fleet.ModeDevice, Ownership: o, Uses: uses})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.Appliance.config.URL + "/enroll/" + code
}

// device enrols a simulated device and returns it with its id; it runs (waiting for pushes) until the test ends.
func (w *world) device(o sim.Options, person string, ownership fleet.Ownership) (*sim.Apple, fleet.DeviceID) {
	w.t.Helper()
	o.Roots, o.Push = w.roots, w.APNs
	if o.Poll == 0 {
		o.Poll = 300 * time.Millisecond
	}
	d := sim.NewApple(o)
	platform := fleet.IOS
	if o.Kind == sim.Mac {
		platform = fleet.MacOS
	}
	if err := d.Enrol(w.t.Context(), w.invitation(person, platform, ownership, 1)); err != nil {
		w.t.Fatalf("enrolling: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); d.Run(ctx) }()
	w.t.Cleanup(func() { cancel(); <-done })
	return d, w.find(d)
}

// find returns the id of a simulated device by its serial number.
func (w *world) find(d *sim.Apple) fleet.DeviceID {
	w.t.Helper()
	serial := d.State().Serial
	l, err := w.Appliance.fleet.Devices(w.t.Context(), w.Actor, fleet.DeviceFilter{Hidden: true}, fleet.ListQuery{Search: serial})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, dev := range l.Items {
		if dev.Serial == serial {
			return dev.ID
		}
	}
	w.t.Fatalf("no device with serial %s", serial)
	return ""
}

// eventually waits for ok, and says what was waited for. It is more patient than a device that was handed an order when its connection broke, as
// at a restart: that one is pushed again after a minute.
func (w *world) eventually(what string, ok func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(3 * time.Minute) // only a failing test waits for so long
	for !ok() {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// statuses of all profiles on a device by profile name.
func (w *world) statuses(id fleet.DeviceID) map[string]fleet.ProfileStatus {
	w.t.Helper()
	l, err := w.Appliance.fleet.DeviceProfiles(w.t.Context(), w.Actor, id)
	if err != nil {
		w.t.Fatal(err)
	}
	m := map[string]fleet.ProfileStatus{}
	for _, s := range l {
		m[s.Name] = s
	}
	return m
}

// settle waits until every profile of a device has the status, and the device has told its name: confirmations ask for it.
func (w *world) settle(id fleet.DeviceID, status fleet.ProfileStatusCode) {
	w.t.Helper()
	w.named(id)
	w.eventually("all profiles "+string(status), func() bool {
		all := w.statuses(id)
		for _, s := range all {
			if s.Status != status {
				return false
			}
		}
		return len(all) > 0
	})
}

// named waits until a device is called what it will be called: the device's own name, or its model where that name may not be kept. It has
// a provisional name before, and its profiles can be there first: an answer may be lost, and a restart come in between.
func (w *world) named(id fleet.DeviceID) {
	w.t.Helper()
	w.eventually("the device tells its name", func() bool {
		d, err := w.Appliance.fleet.Device(w.t.Context(), w.Actor, id)
		if err != nil {
			w.t.Fatal(err)
		}
		known, err := w.Appliance.fleet.Facts(w.t.Context(), w.Actor, id)
		if err != nil {
			w.t.Fatal(err)
		}
		decides := fleet.FactDeviceName
		if d.Ownership == fleet.Personal {
			decides = fleet.FactModelName
		}
		return d.Platform == fleet.Windows || d.Platform == fleet.Android ||
			slices.ContainsFunc(known, func(f fleet.Fact) bool { return f.Key == decides })
	})
}

// browser is an HTTP client as a person has one: it trusts the internal root and keeps cookies.
func (w *world) browser() *http.Client {
	jar, _ := cookiejar.New(nil)
	return &http.Client{Jar: jar, Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.roots}}}
}
