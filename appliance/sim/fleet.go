package sim

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// FleetOptions describe a fleet of devices that enrol through one reusable invitation.
type FleetOptions struct {
	Link     string // the invitation; it must allow Count uses
	Platform string // "ios" (iPhones and an iPad now and then), "macos" or "windows"
	Count    int
	Roots    *x509.CertPool   // nil: the system's
	Parallel int              // how many enrol at the same time; 0: four for each processor
	Keys     int              // how many RSA keys are made and shared; 0: 64
	KeyBits  int              // 0: 2048
	Identity Identity         // blank: as real devices
	Seed     int64            // of the first device; the others follow
	Poll     time.Duration    // between connections; 0: 15 s
	Push     *APNs            // nil: the devices poll
	Mood     func(i int) Mood // of Apple devices; nil: all obedient
	Stay     bool             // go on living until ctx ends; otherwise end when every device has connected once
	Out      io.Writer        // where progress goes; nil: nowhere
	Logger   *slog.Logger     // nil: silent

	WindowsMood func(i int) WindowsMood // of PCs; nil: all obedient
}

// FleetResult tells how a fleet fared.
type FleetResult struct {
	Enrolled, Failed int
	Commands         int           // answered, all devices together
	Took             time.Duration // until the last one had enrolled or failed
	FirstError       error
}

// ErrFleet is returned when no device could enrol, or when the options make no sense.
var ErrFleet = errors.New("no device enrolled")

// RunFleet enrols the devices, prints progress, lets them live as long as it was told,
// and returns what became of them. A cancelled ctx ends it cleanly and is no error.
func RunFleet(ctx context.Context, o FleetOptions) (FleetResult, error) {
	var kinds []Kind
	switch o.Platform {
	case "ios":
		kinds = []Kind{IPhone, IPhone, IPhone, IPad}
	case "macos":
		kinds = []Kind{Mac}
	case "windows":
	default:
		return FleetResult{}, fmt.Errorf("%w: platform %q is neither ios nor macos nor windows", ErrFleet, o.Platform)
	}
	if o.Count < 1 || o.Link == "" {
		return FleetResult{}, fmt.Errorf("%w: a link and a count of at least 1 are needed", ErrFleet)
	}
	o.defaults()
	f := &fleet{o: o, kinds: kinds, began: time.Now(), keys: NewKeys(o.KeyBits, min(o.Keys, o.Count), runtime.NumCPU()), slots: make(chan struct{}, o.Parallel)}
	f.shared = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: o.Parallel, IdleConnTimeout: 20 * time.Second,
		TLSClientConfig: &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(o.Parallel)}}
	defer f.shared.CloseIdleConnections()

	var all sync.WaitGroup
	for i := range o.Count {
		all.Go(func() { f.live(ctx, i) })
	}
	progress := make(chan struct{})
	ended := make(chan struct{})
	go func() { defer close(ended); f.report(progress) }()
	all.Wait()
	close(progress)
	<-ended
	r := f.result()
	fmt.Fprintf(o.Out, "%d of %d devices enrolled in %s, %d commands answered\n", r.Enrolled, o.Count, r.Took.Round(time.Millisecond), r.Commands)
	if r.Enrolled == 0 && r.FirstError != nil {
		return r, fmt.Errorf("%w: %w", ErrFleet, r.FirstError)
	}
	return r, nil
}

func (o *FleetOptions) defaults() {
	if o.Parallel <= 0 {
		o.Parallel = 4 * runtime.NumCPU()
	}
	if o.Keys <= 0 {
		o.Keys = 64
	}
	if o.KeyBits <= 0 {
		o.KeyBits = 2048
	}
	if o.Poll <= 0 {
		o.Poll = 15 * time.Second
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
}

// fleet is one RunFleet under way.
type fleet struct {
	o      FleetOptions
	kinds  []Kind
	began  time.Time
	keys   *Keys
	shared *http.Transport
	slots  chan struct{}

	enrolled, failed, commands atomic.Int64
	mu                         sync.Mutex
	took                       time.Duration
	first                      error
}

// live enrols one device and lets it live.
func (f *fleet) live(ctx context.Context, i int) {
	select {
	case f.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	d := f.device(i)
	err := d.Enrol(ctx, f.o.Link)
	f.note(ctx, err)
	if err == nil {
		// A first connection that fails shows in the device's state; polling repeats it.
		_ = d.connectOnce(ctx)
	}
	<-f.slots
	if err == nil && f.o.Stay {
		_ = d.Run(ctx) // ends without an error
	}
	d.Close()
	f.commands.Add(int64(d.answered()))
}

// member is a device of a fleet, whatever its platform.
type member interface {
	Enrol(ctx context.Context, link string) error
	Run(ctx context.Context) error
	Close()

	connectOnce(ctx context.Context) error
	answered() int // commands so far
}

func (d *Apple) connectOnce(ctx context.Context) error { return d.Connect(ctx) }

func (d *Apple) answered() int { return len(d.State().Commands) }

// device makes the ith device.
func (f *fleet) device(i int) member {
	seed := f.o.Seed + int64(i)
	if f.o.Platform == "windows" {
		opts := WindowsOptions{Seed: seed, Roots: f.o.Roots, Keys: f.keys, KeyBits: f.o.KeyBits, Poll: f.o.Poll, NoTLSCert: f.o.Identity == IdentitySignature, Logger: f.o.Logger}
		if f.o.WindowsMood != nil {
			opts.Mood = f.o.WindowsMood(i)
		}
		return NewWindows(opts)
	}
	opts := Options{Kind: f.kinds[i%len(f.kinds)], Seed: seed, Roots: f.o.Roots, Identity: f.o.Identity, Keys: f.keys, KeyBits: f.o.KeyBits,
		Push: f.o.Push, Poll: f.o.Poll, Logger: f.o.Logger, Transport: f.shared}
	if f.o.Mood != nil {
		opts.Mood = f.o.Mood(i)
	}
	return NewApple(opts)
}

// note counts how an enrolment ended; what ctx cut off is not counted as failed.
func (f *fleet) note(ctx context.Context, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err == nil:
		f.enrolled.Add(1)
	case ctx.Err() != nil:
		return
	default:
		f.failed.Add(1)
		if f.first == nil {
			f.first = err
			fmt.Fprintf(f.o.Out, "a device could not enrol: %v\n", err)
		}
	}
	f.took = time.Since(f.began)
}

// report prints how far the fleet is, once a second while that changes.
func (f *fleet) report(end <-chan struct{}) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	last := int64(-1)
	for {
		select {
		case <-end:
			return
		case <-t.C:
			ok, bad := f.enrolled.Load(), f.failed.Load()
			if ok+bad == last {
				continue
			}
			last = ok + bad
			f.mu.Lock()
			fmt.Fprintf(f.o.Out, "%d of %d enrolled, %d failed, %s\n", ok, f.o.Count, bad, time.Since(f.began).Round(time.Second))
			f.mu.Unlock()
		}
	}
}

func (f *fleet) result() FleetResult {
	f.mu.Lock()
	defer f.mu.Unlock()
	return FleetResult{Enrolled: int(f.enrolled.Load()), Failed: int(f.failed.Load()), Commands: int(f.commands.Load()), Took: f.took, FirstError: f.first}
}
