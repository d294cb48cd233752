package appliance

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	_ "net/http/pprof"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// crashChild names the environment variable that turns this test binary into an appliance that waits to be killed.
const crashChild = "MUSTER_TEST_CRASH_CHILD"

func TestMain(m *testing.M) {
	if raw := os.Getenv(crashChild); raw != "" {
		runCrashChild(raw)
		return
	}
	// Pebble takes its settings from here only. These hold for all tests, for they run beside one another.
	os.Setenv("PEBBLE_VA_NOSLEEP", "1")
	os.Setenv("PEBBLE_WFE_NONCEREJECT", "20") // clients must cope; real servers forget nonces too
	if os.Getenv(serveChild) != "" {
		os.Exit(runServeChild())
	}
	// Many appliances live in this process. Marking what all of them hold would take half of the processors' time.
	debug.SetGCPercent(400)
	code := m.Run()
	for _, f := range cleanups {
		f()
	}
	os.Exit(code)
}

// cleanups run after all tests and benchmarks, for what outlives one of them.
var cleanups []func()

// serveChild names the environment variable that turns this test binary into `muster serve` with the settings in the environment.
const serveChild = "MUSTER_TEST_SERVE_CHILD"

// runServeChild serves until it is told to end, and returns the exit code, as the command does.
func runServeChild() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	c, err := ParseServe(nil, os.Stdout)
	if err == nil {
		err = Serve(ctx, c, os.Stdout, true)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "muster:", err)
		return 1
	}
	return 0
}

// servingChild is `muster serve` as a process of its own.
type servingChild struct {
	*exec.Cmd
	trouble bytes.Buffer
}

func startServe(t *testing.T, c Config, change func(*exec.Cmd)) *servingChild {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "linux" {
		self = "/proc/self/exe" // another user may not reach the directory that it lies in
	}
	s := &servingChild{Cmd: exec.Command(self, "-test.run=^$")}
	s.Env = append(os.Environ(), serveChild+"=1", "MUSTER_DATA="+c.Data, "MUSTER_KEY="+c.Key, "MUSTER_LISTEN="+c.Listen, "MUSTER_URL="+c.URL, "MUSTER_DEVICE_URL="+c.DeviceURL)
	s.Stderr = &s.trouble
	change(s.Cmd)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Process.Kill(); s.Wait() })
	return s
}

// ended waits until the child has ended and compares its exit code and what it said.
func (s *servingChild) ended(t *testing.T, what string, code int, says ...string) {
	t.Helper()
	s.Wait()
	if got := s.ProcessState.ExitCode(); got != code {
		t.Errorf("%s: exit code %d, want %d: %s", what, got, code, s.trouble.String())
	}
	for _, want := range says {
		if !strings.Contains(s.trouble.String(), want) {
			t.Errorf("%s: no %q in %q", what, want, s.trouble.String())
		}
	}
}

type childConfig struct {
	Data, Key, Listen, URL, DeviceURL string
	Ahead                             time.Duration // of the true time
	DieOn                             string        // kill -9 itself when a thing of this kind ("device", ...) has changed; "" = wait to be killed
	DieIn                             string        // kill -9 itself when a function whose name contains this looks at the clock
	DieBackingUp                      bool          // kill -9 itself while a backup is written
	TLSAsSet                          bool          // where the certificate comes from is in the settings
	Push                              string        // base URL of a push service; "" = nobody there: the devices poll
	PushRoot                          []byte        // DER
	Metrics                           string        // address that tells them; "" = none
}

func runCrashChild(raw string) {
	var c childConfig
	if err := json.Unmarshal([]byte(raw), &c); err != nil {
		panic(err)
	}
	push := PushService{URL: cmp.Or(c.Push, "https://127.0.0.1:1")}
	if c.PushRoot != nil {
		root, err := x509.ParseCertificate(c.PushRoot)
		if err != nil {
			panic(err)
		}
		push.Roots = x509.NewCertPool()
		push.Roots.AddCert(root)
	}
	die := func() {
		self, _ := os.FindProcess(os.Getpid())
		self.Kill()
		select {} // it comes at once, but not at this very instruction
	}
	mode := TLSInternal
	if c.TLSAsSet {
		mode = ""
	}
	a, err := Open(context.Background(), Config{
		Data: c.Data, Key: c.Key, Listen: c.Listen, URL: c.URL, DeviceURL: c.DeviceURL, TLS: mode, Metrics: c.Metrics,
		Clock: func() time.Time {
			if c.DieIn != "" && runsIn(c.DieIn) {
				die()
			}
			return time.Now().Add(c.Ahead)
		},
		Logger: testLog(nil), Push: push,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if addr := os.Getenv("MUSTER_TEST_PPROF"); addr != "" {
		go http.ListenAndServe(addr, nil) // net/http/pprof
	}
	changes := a.fleet.Subscribe(context.Background(), fleet.Job("crash"))
	go func() {
		for ch := range changes {
			if c.DieOn != "" && ch.Kind == c.DieOn {
				die()
			}
		}
	}()
	if c.DieBackingUp {
		go func() {
			for {
				if parts, _ := filepath.Glob(filepath.Join(a.fleet.BackupDir(), ".muster-backup-*")); len(parts) > 0 {
					die()
				}
				time.Sleep(100 * time.Microsecond)
			}
		}()
	}
	fmt.Println("ready")
	fmt.Fprintln(os.Stderr, a.RunProcess(context.Background()))
	os.Exit(1)
}

// runsIn says whether the caller runs inside of a function whose name contains part.
func runsIn(part string) bool {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		f, more := frames.Next()
		if strings.Contains(f.Function, part) {
			return true
		}
		if !more {
			return false
		}
	}
}

// kill -9 at any moment, under load: nothing that was acknowledged is lost, and every device converges.
func TestKillNine(t *testing.T) {
	rounds := 50
	if testing.Short() {
		rounds = 6
	}
	w := newWorld(t)
	var devices []*sim.Apple
	for i, person := range []string{"Anna", "Bram", "Carla", "Eva"} {
		kind := sim.IPhone
		if person == "Eva" {
			kind = sim.Mac
		}
		o := sim.Options{Kind: kind, Name: person, Seed: int64(100 + i), Roots: w.roots, Poll: 50 * time.Millisecond, Mood: sim.Mood{UserLogsInAfter: time.Millisecond}}
		d := sim.NewApple(o)
		platform := fleet.IOS
		if kind == sim.Mac {
			platform = fleet.MacOS
		}
		if err := d.Enrol(t.Context(), w.invitation(person, platform, fleet.Corporate, 1)); err != nil {
			t.Fatal(err)
		}
		devices = append(devices, d)
	}
	_, token, err := w.Appliance.fleet.CreateToken(t.Context(), w.Actor, "load", fleet.AllPermissions, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	w.stop()

	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	for _, d := range devices {
		load.Go(func() { d.Run(ctx) })
	}
	acknowledged := &ledger{}
	for i := range 3 {
		load.Go(func() { acknowledged.write(ctx, w, token, i) })
	}

	for round := range rounds {
		child := w.child(childConfig{})
		if round%5 != 0 { // every fifth is killed while it starts, the others in the midst of changes
			w.serving()
			before := acknowledged.count()
			w.eventually("changes are acknowledged", func() bool { return acknowledged.count() > before+1 })
		}
		time.Sleep(time.Duration(30+rand.IntN(270)) * time.Millisecond)
		child.Process.Kill()
		child.Wait()
	}
	cancel()
	load.Wait()
	t.Logf("%d rounds, %d acknowledged changes", rounds, len(acknowledged.ids))
	if len(acknowledged.ids) < rounds {
		t.Errorf("only %d changes were acknowledged: too little load to mean anything", len(acknowledged.ids))
	}

	clock := &movingClock{}
	w.config.Clock = clock.now
	w.start()
	for id, name := range acknowledged.ids {
		p, err := w.Appliance.fleet.Person(t.Context(), w.Actor, fleet.PersonID(id))
		if err != nil || p.Name != name {
			t.Errorf("acknowledged person %s (%s) is lost: %v", id, name, err)
		}
	}
	if broken, n, err := w.Appliance.fleet.VerifyAudit(t.Context(), fleet.Job("test")); err != nil || broken != 0 {
		t.Errorf("audit chain of %d records broken at %d: %v", n, broken, err)
	}
	calm, stop := context.WithCancel(t.Context())
	defer load.Wait()
	defer stop()
	for _, d := range devices {
		load.Go(func() { d.Run(calm) })
	}
	for _, d := range devices {
		id := w.find(d)
		w.eventually("what failed when a kill cut its certificate off is tried again in its time", func() bool {
			for _, s := range w.statuses(id) {
				if s.Status == fleet.StatusSucceeded {
					continue
				}
				if s.NextTry != nil && s.NextTry.After(clock.now()) {
					clock.advance(s.NextTry.Sub(clock.now()) + time.Second)
				}
				return false
			}
			return true
		})
		w.settle(id, fleet.StatusSucceeded)
		for _, complaint := range d.State().Complaints {
			t.Errorf("%s complains: %s", d.State().Name, complaint)
		}
	}
}

// child starts the appliance as a process of its own on the world's directory, and returns when it is about to serve.
func (w *world) child(c childConfig) *exec.Cmd {
	w.t.Helper()
	c.Data, c.Key, c.Listen, c.URL, c.DeviceURL = w.config.Data, w.config.Key, w.config.Listen, w.config.URL, w.config.DeviceURL
	config, err := json.Marshal(c)
	if err != nil {
		w.t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^$")
	child.Env = append(os.Environ(), crashChild+"="+string(config))
	var trouble bytes.Buffer
	child.Stderr = &trouble
	out, err := child.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		w.t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		child.Process.Kill()
		child.Wait()
		w.t.Fatalf("the appliance did not come up: %s", trouble.String())
	}
	return child
}

// serving waits until the appliance answers, on slow machines too.
func (w *world) serving() {
	w.t.Helper()
	browser := w.browser()
	w.eventually("the appliance answers", func() bool {
		resp, err := browser.Get(w.config.URL + "/healthz")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
}

// ledger remembers what the server acknowledged.
type ledger struct {
	mu  sync.Mutex
	ids map[string]string
}

func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.ids)
}

// write adds people through the API until ctx ends, and notes each that was acknowledged.
func (l *ledger) write(ctx context.Context, w *world, token string, worker int) {
	browser := w.browser()
	browser.Timeout = 2 * time.Second
	for n := 0; ctx.Err() == nil; n++ {
		name := fmt.Sprintf("Person %d of %d", n, worker)
		body := fmt.Sprintf(`{"name":%q,"mail":"p%d-%d@load.example"}`, name, worker, n)
		req, err := http.NewRequestWithContext(ctx, "POST", w.config.URL+"/api/v1/people", strings.NewReader(body))
		if err != nil {
			return
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := browser.Do(req)
		if err != nil {
			time.Sleep(20 * time.Millisecond)
			continue
		}
		var p struct{ ID string }
		if resp.StatusCode == http.StatusCreated && json.NewDecoder(resp.Body).Decode(&p) == nil {
			l.mu.Lock()
			if l.ids == nil {
				l.ids = map[string]string{}
			}
			l.ids[p.ID] = name
			l.mu.Unlock()
		}
		resp.Body.Close()
	}
}

// A second process on the same directory is refused in plain words, and the first loses nothing.
func TestTwoProcessesOneDirectory(t *testing.T) {
	w := newWorld(t)
	c := w.config
	c.Listen = "127.0.0.1:0"
	if a, err := Open(t.Context(), c); err == nil {
		a.Close()
		t.Fatal("a second process opened the directory")
	} else if !strings.Contains(err.Error(), filepath.Base(c.Data)) {
		t.Errorf("the refusal names no directory: %v", err)
	}
	if _, err := w.Appliance.fleet.People(t.Context(), w.Actor, fleet.ListQuery{}); err != nil {
		t.Errorf("the first process suffers: %v", err)
	}
}
