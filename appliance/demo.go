package appliance

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// DemoConfig is what `muster demo` takes.
type DemoConfig struct {
	Data    string // empty = a new temporary directory, removed at the end
	Listen  string
	Devices int
	Logger  *slog.Logger
	// Ready is called once every device has been through its history; tests wait for it. May be nil.
	Ready func(*DemoRun)
}

// ParseDemo reads the flags of `muster demo`.
func ParseDemo(args []string, out io.Writer) (DemoConfig, error) {
	var c DemoConfig
	fs := newFlagSet("demo")
	fs.StringVar(&c.Data, "data", "", "data `directory`, kept afterwards (default: a temporary one)")
	fs.StringVar(&c.Listen, "listen", "127.0.0.1:8443", "loopback `address`; devices use the next free port")
	fs.IntVar(&c.Devices, "devices", len(parts), "how many simulated devices")
	if err := parse(fs, args, out); err != nil {
		return DemoConfig{}, err
	}
	return c, c.check()
}

func (c *DemoConfig) check() error {
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return UsageError{fmt.Sprintf("--listen %q: want 127.0.0.1:port", c.Listen)}
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return UsageError{"the demo listens on loopback only: its data is public and its sign-in is a link"}
	}
	if c.Devices < 1 || c.Devices > 1000 {
		return UsageError{"--devices: between 1 and 1000"}
	}
	return nil
}

// DemoRun is a running demo.
type DemoRun struct {
	Appliance *Appliance
	APNs      *sim.APNs
	Google    *sim.Google // nil: no Androids
	Link      string      // signs the demo administrator in
	Actor     fleet.Actor
	Devices   []*DemoDevice

	session string
	log     *slog.Logger
	people  map[string]fleet.PersonID
}

// Demo runs the real appliance on loopback with simulated devices that speak the real protocol to it. It contacts nobody: Apple's
// push service and Google are stand-ins on loopback.
func Demo(ctx context.Context, c DemoConfig, out io.Writer) (err error) {
	if err := c.check(); err != nil {
		return err
	}
	log := c.Logger
	if log == nil {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	}
	if c.Data == "" {
		if c.Data, err = os.MkdirTemp("", "muster-demo-"); err != nil {
			return err
		}
		defer os.RemoveAll(c.Data)
		defer os.RemoveAll(demoKeys(c.Data))
	}
	apns, err := sim.NewAPNs()
	if err != nil {
		return err
	}
	defer apns.Close()
	google, err := sim.NewGoogle()
	if err != nil {
		return err
	}
	defer google.Close()
	config, err := demoConfig(c, apns, log)
	if err != nil {
		return err
	}
	config.Google = GoogleService{Management: google.URL(), PubSub: google.PubSubURL(), Roots: google.Roots()}
	a, err := Open(ctx, config)
	if err != nil {
		return err
	}
	defer a.Close()

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.RunProcess(ctx) })
	run := &DemoRun{Appliance: a, APNs: apns, Google: google, log: log}
	g.Go(func() error {
		if err := run.prepare(ctx); err != nil {
			return fmt.Errorf("preparing the demo: %w", err)
		}
		if err := run.addAccess(ctx); err != nil {
			return fmt.Errorf("preparing the demo: %w", err)
		}
		fmt.Fprintf(out, "Enrolling %d simulated devices …\n", c.Devices)
		if err := run.enrol(ctx, g, castOf(c.Devices)); err != nil {
			return fmt.Errorf("enrolling the demo's devices: %w", err)
		}
		key := randomKey()
		a.demoKeys.Store(key, run.session)
		run.Link = a.config.URL + "/demo/" + key
		fmt.Fprintf(out, "Open %s  (Ctrl-C ends the demo; your browser will warn, because the demo certifies itself)\n", run.Link)
		if err := run.histories(ctx); err != nil {
			return fmt.Errorf("the demo's histories: %w", err)
		}
		if c.Ready != nil {
			c.Ready(run)
		}
		return nil
	})
	return g.Wait()
}

// demoConfig is an appliance on loopback: one port for people, one for devices.
func demoConfig(c DemoConfig, apns *sim.APNs, log *slog.Logger) (Config, error) {
	host, port, _ := net.SplitHostPort(c.Listen)
	if port == "0" {
		p, err := freePort(host)
		if err != nil {
			return Config{}, err
		}
		port = p
	}
	devicePort, err := freePort(host)
	if err != nil {
		return Config{}, err
	}
	keyDir := demoKeys(c.Data)
	if err := os.MkdirAll(keyDir, 0o700); err != nil {
		return Config{}, err
	}
	return Config{
		Data: c.Data, Key: filepath.Join(keyDir, "seal.key"), Listen: net.JoinHostPort(host, port),
		URL: "https://" + net.JoinHostPort(host, port), DeviceURL: "https://" + net.JoinHostPort(host, devicePort),
		TLS: TLSInternal, Logger: log, demo: true,
		Push: PushService{URL: apns.URL(), Roots: apns.Roots()},
	}, nil
}

// demoKeys is where the demo keeps its seal key: beside the data directory, since a key inside is refused.
func demoKeys(data string) string {
	return strings.TrimSuffix(data, string(filepath.Separator)) + "-key"
}

// freePort asks the system for a port that nobody uses.
func freePort(host string) (string, error) {
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return "", err
	}
	defer ln.Close()
	_, port, err := net.SplitHostPort(ln.Addr().String())
	return port, err
}

func randomKey() string {
	b := make([]byte, 20)
	rand.Read(b)
	return strings.ToLower(base32.StdEncoding.EncodeToString(b))
}

// demoSignIn signs the holder of the demo's link in, with the session that the demo opened by signing in as
// anyone would. The route exists in the demo only.
func (a *Appliance) demoSignIn(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	v, ok := a.demoKeys.Load(r.PathValue("key"))
	if !ok {
		plain(w, http.StatusNotFound, "This link belongs to another run of the demo. The terminal shows the present one.")
		return
	}
	a.pages.SetSession(w, r, v.(string))
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
