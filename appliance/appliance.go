package appliance

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"muster/appliance/android"
	"muster/appliance/apple"
	"muster/appliance/fleet"
	"muster/appliance/windows"
	"muster/jobs"
	"muster/pki"
	"muster/store"
	"muster/ui"
	"muster/ui/words"
)

// PushService says where pushes go. The zero value is Apple's service; the demo and the tests put a stand-in here.
type PushService struct {
	URL   string         // base URL, default https://api.push.apple.com
	Roots *x509.CertPool // nil = system roots
}

// GoogleService says where Android devices are managed. The zero value is Google's service; the demo and the tests put a stand-in here.
type GoogleService struct {
	Management string         // base URL, default https://androidmanagement.googleapis.com
	PubSub     string         // base URL, default https://pubsub.googleapis.com
	Roots      *x509.CertPool // nil = system roots
	PollEvery  time.Duration  // 0 = five minutes
	Backoff    time.Duration  // unit of waiting after trouble, 0 = a second
	Rate       float64        // calls a second, 0 = what Google allows
}

// Appliance is the running product. Open makes one, Run serves until its context ends, Close gives everything back.
type Appliance struct {
	config   Config
	log      *slog.Logger
	started  time.Time
	db       *store.DB
	pki      *pki.Authority
	fleet    *fleet.Fleet
	apple    *apple.Apple
	windows  *windows.Windows
	android  *android.Android
	jobs     *jobs.Scheduler
	tls      *serverTLS
	metrics  *scraped
	probe    probe
	doors    doors
	pcs      atomic.Bool // a PC was enrolled: see doors.asksCertificate
	words    *words.Catalogue
	pages    *ui.UI
	demoKeys sync.Map // key of a demo link → session; always empty outside the demo

	public, device, plain, numbers net.Listener

	closing sync.Once
}

// Open opens the store, makes what is missing (CA, keys) and binds the listeners, so that Run cannot fail for a reason that
// the person at the terminal should have seen at once.
func Open(ctx context.Context, c Config) (_ *Appliance, err error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	a := &Appliance{config: c, log: c.Logger, started: c.Clock(), doors: newDoors(c)}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	if a.words, err = words.Load(a.log); err != nil {
		return nil, err
	}
	if err := prepareDataDir(c.Data, c.demo); err != nil {
		if said := placeError(c.Data, err); said != nil {
			err = said
		}
		return nil, err
	}
	if a.db, err = openData(ctx, &c); err != nil {
		return nil, err
	}
	if a.pki, err = pki.Open(ctx, a.db, pki.Config{Organisation: "Muster", BaseURL: revocationBase(c), Clock: c.Clock, Logger: a.log}); err != nil {
		return nil, fmt.Errorf("opening the certificate authority: %w", err)
	}
	lockedTLS, err := c.lockedTLS()
	if err != nil {
		return nil, fmt.Errorf("TLS flags: %w", err)
	}
	if a.fleet, err = fleet.New(fleet.Config{DB: a.db, PKI: a.pki, Clock: c.Clock, Logger: a.log, Locked: c.lockedSettings(), TLS: lockedTLS, BackupDir: c.BackupDir,
		BackupsBeside: func() bool { return sameDisk(c.BackupDir, c.Data) }, Version: Version, GoogleStandIn: c.Google.Management}); err != nil {
		return nil, err
	}
	a.fleet.AddNeeds(a.ownNeeds)
	a.fleet.AddNeeds(a.tlsNeeds)
	a.fleet.AddNeeds(a.probeNeeds)
	a.apple, err = apple.New(apple.Config{
		Fleet: a.fleet, PKI: a.pki, DB: a.db, ServerRoots: func() [][]byte { return a.tls.roots() },
		PushURL: c.Push.URL, PushRoots: c.Push.Roots, Clock: c.Clock, Logger: a.log,
	})
	if err != nil {
		return nil, err
	}
	a.fleet.Use(a.apple, a.apple)
	a.windows, err = windows.New(windows.Config{Fleet: a.fleet, PKI: a.pki, DB: a.db, SignInPage: ui.WindowsSignInPath, Enrolled: func() { a.pcs.Store(true) }, Say: a.say, Push: c.wns(), Clock: c.Clock, Logger: a.log})
	if err != nil {
		return nil, err
	}
	a.fleet.Use(a.windows, a.windows)
	a.android, err = android.New(android.Config{Fleet: a.fleet, PKI: a.pki, DB: a.db, ManagementURL: c.Google.Management, PubSubURL: c.Google.PubSub,
		Roots: c.Google.Roots, PollEvery: c.Google.PollEvery, Backoff: c.Google.Backoff, Rate: c.Google.Rate, Clock: c.Clock, Logger: a.log})
	if err != nil {
		return nil, err
	}
	a.fleet.Use(a.android, a.android)
	pcs, err := a.windows.Any(ctx)
	if err != nil {
		return nil, err
	}
	a.pcs.Store(pcs)
	if err := a.bind(); err != nil {
		return nil, err
	}
	if err := a.openTLS(ctx); err != nil {
		return nil, err
	}
	a.fleet.UseTLS(a.tls)
	a.metrics = a.newMetrics()
	return a, a.addJobs()
}

// bind takes the ports.
func (a *Appliance) bind() (err error) {
	if a.public, err = net.Listen("tcp", a.config.Listen); err != nil {
		return portError(a.config.Listen, err)
	}
	if a.doors.device.port != a.doors.public.port {
		host, _, _ := net.SplitHostPort(a.config.Listen)
		addr := net.JoinHostPort(host, a.doors.device.port)
		if a.device, err = net.Listen("tcp", addr); err != nil {
			return portError(addr, err)
		}
	}
	if a.config.HTTP != "" {
		if a.plain, err = net.Listen("tcp", a.config.HTTP); err != nil {
			return portError(a.config.HTTP, err)
		}
	}
	if a.config.Metrics != "" {
		if a.numbers, err = net.Listen("tcp", a.config.Metrics); err != nil {
			return portError(a.config.Metrics, err)
		}
	}
	return nil
}

// RunProcess is Run for a process that does nothing else: its memory is bounded, too.
func (a *Appliance) RunProcess(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.Run(ctx) })
	g.Go(func() error { return a.watchMemory(ctx) })
	return g.Wait()
}

// Run serves until ctx ends or a part fails.
func (a *Appliance) Run(ctx context.Context) error {
	browsers, err := a.browserRoutes()
	if err != nil {
		return err
	}
	devices := a.deviceRoutes()
	g, ctx := errgroup.WithContext(ctx)
	shared := browsers
	if a.device == nil {
		shared = a.byHost(browsers, devices)
	}
	g.Go(func() error { return a.serve(ctx, "public", a.public, a.tlsConfig(false), shared) })
	if a.device != nil {
		g.Go(func() error { return a.serve(ctx, "device", a.device, a.tlsConfig(true), devices) })
	}
	if a.plain != nil {
		g.Go(func() error { return a.serve(ctx, "plain", a.plain, nil, a.plainRoutes()) })
	}
	if a.numbers != nil {
		g.Go(func() error { return a.serve(ctx, "metrics", a.numbers, nil, a.metricsRoutes()) })
	}
	g.Go(func() error { return a.tls.run(ctx) })
	g.Go(func() error { return ended(ctx, a.lookAtItself(ctx)) })
	g.Go(func() error { return ended(ctx, a.fleet.RunFanOut(ctx)) })
	g.Go(func() error { return ended(ctx, a.fleet.RunWakes(ctx)) })
	g.Go(func() error { return ended(ctx, a.android.Run(ctx)) })
	g.Go(func() error { return ended(ctx, a.jobs.Run(ctx)) })
	g.Go(func() error { return a.watchStore(ctx) })
	return g.Wait()
}

// watchStore ends Run when the store has failed: only a new start, in which the store recovers, leads out of that, and whoever supervises the
// process makes one.
func (a *Appliance) watchStore(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-a.db.Broken():
		return fmt.Errorf("the disk of %s refused a write; what was acknowledged before is kept, and Muster goes on from there when it is started again: %w", a.config.Data, store.ErrFailed)
	}
}

// Close gives back listeners and store. It may be called twice.
func (a *Appliance) Close() error {
	var err error
	a.closing.Do(func() {
		for _, ln := range []net.Listener{a.public, a.device, a.plain, a.numbers} {
			if ln != nil {
				ln.Close()
			}
		}
		if a.tls != nil {
			a.tls.stop()
		}
		if a.db != nil {
			err = a.db.Close()
		}
	})
	return err
}

// Fleet is the domain, for the command line and tests.
func (a *Appliance) Fleet() *fleet.Fleet { return a.fleet }

// Authority is the internal CA, for the command line and tests.
func (a *Appliance) Authority() *pki.Authority { return a.pki }

// Addrs returns where the listeners really listen: public and device (the same without a second port).
func (a *Appliance) Addrs() (public, device string) {
	public = a.public.Addr().String()
	if a.device == nil {
		return public, public
	}
	return public, a.device.Addr().String()
}

// ended turns the error that a loop returns when its context ends into nil.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil && (err == nil || errors.Is(err, ctx.Err())) {
		return nil
	}
	return err
}
