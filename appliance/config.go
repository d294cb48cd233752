package appliance

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"muster/appliance/fleet"
	"muster/store"
)

// Modes of TLS, as flags have them. None leaves the choice to the settings.
const (
	TLSInternal = fleet.TLSInternal
	TLSFiles    = fleet.TLSFiles
	TLSACME     = fleet.TLSACME
)

// Config is what `muster serve` takes. Every field is a flag, and MUSTER_<FLAG> in the environment.
type Config struct {
	Data           string        // data directory
	Key            string        // seal key file, outside Data
	Listen         string        // address of the browsers' TLS listener
	URL            string        // public address
	DeviceURL      string        // address that devices call; another port than URL's makes a second listener
	TLS            fleet.TLSMode // where the certificate comes from; empty = the settings say, at first the internal CA
	TLSCert        string
	TLSKey         string
	TLSNames       string // further host names to have a certificate for, with commas between
	ACME           ACMEFlags
	HTTP           string // plain-HTTP listener for CRL, OCSP, ACME HTTP-01 and redirects; empty = none
	Metrics        string // loopback address that tells metrics without a token; empty = none
	TrustedProxies string // addresses of reverse proxies whose X-Forwarded-For is believed
	SetupFile      string // where the one-time set-up link is written when there is no terminal
	BackupDir      string // where backups are written; empty = <data>/backups
	UpgradeBare    bool   // migrate without a backup before

	Logger *slog.Logger      // nil = text on standard error
	Clock  func() time.Time  // nil = time.Now
	Push   PushService       // zero = Apple's
	Google GoogleService     // zero = Google's
	WNS    http.RoundTripper // to Microsoft's push service; nil = the system's network, in the demo none

	schema     int                                                          // zero = schemaNow; tests upgrade to others
	migrations []store.Migration                                            // nil = migrations
	free       func() (uint64, error)                                       // nil = asks the file system of Data
	lookup     func(ctx context.Context, host string) ([]netip.Addr, error) // nil = asks the system; tests have names of their own

	demo bool
}

// flags declares every flag of serve on fs.
func (c *Config) flags(fs *flag.FlagSet) {
	fs.StringVar(&c.Data, "data", defaultDataDir(), "data `directory`")
	fs.StringVar(&c.Key, "key", "", "seal key `file`, outside the data directory, or env:NAME for a variable that holds it (default: MUSTER_SEAL_KEY, the systemd credential, else <config dir>/muster/seal.key)")
	fs.StringVar(&c.Listen, "listen", ":8443", "`address` to listen on")
	fs.StringVar(&c.URL, "url", "", "public `URL`, as people type it (default: https://<host name>:<port>)")
	fs.StringVar(&c.DeviceURL, "device-url", "", "`URL` that devices call; another host name or port than --url keeps certificate questions away from browsers")
	fs.StringVar((*string)(&c.TLS), "tls", "", "where the certificate comes from: `internal`, files or acme (default: as set in the settings, at first internal)")
	fs.StringVar(&c.TLSCert, "tls-cert", "", "certificate chain `file` (PEM), with --tls files")
	fs.StringVar(&c.TLSKey, "tls-key", "", "private key `file` (PEM), with --tls files")
	fs.StringVar(&c.TLSNames, "tls-names", "", "further host `names` to have a certificate for, with commas between, such as enterpriseenrollment.example.org; with --tls")
	c.ACME.flags(fs)
	fs.StringVar(&c.TrustedProxies, "trusted-proxy", "", "`addresses` of the reverse proxies in front, whose X-Forwarded-For is believed (10.0.0.5,192.168.4.0/24)")
	fs.StringVar(&c.HTTP, "http", "", "`address` for plain HTTP: revocation lists, OCSP, ACME challenges and redirects only (usually :80)")
	fs.StringVar(&c.Metrics, "metrics", "", "loopback `address` that tells Prometheus its numbers without a token, over plain HTTP (127.0.0.1:9464)")
	fs.StringVar(&c.BackupDir, "backup-dir", "", "`directory` that backups are written to, best on another disk (default: <data>/backups)")
	fs.BoolVar(&c.UpgradeBare, "upgrade-without-backup", false, "migrate the data of an older version although no backup can be made before")
	fs.StringVar(&c.SetupFile, "setup-file", "", "`file` for the one-time set-up link when no terminal is attached (default: <data>/setup-link)")
}

// ParseServe reads the flags of `muster serve` and the environment.
func ParseServe(args []string, out io.Writer) (Config, error) {
	var c Config
	fs := newFlagSet("serve")
	c.flags(fs)
	if err := parse(fs, args, out); err != nil {
		return Config{}, err
	}
	return c, c.complete()
}

// parse reads args and then, for every flag not given, MUSTER_<FLAG>.
func parse(fs *flag.FlagSet, args []string, out io.Writer) error {
	return parseWith(fs, args, out, nil)
}

// parseWith asks further, when it is not nil, for settings that come after both; it is told which flags were given in either way.
func parseWith(fs *flag.FlagSet, args []string, out io.Writer, further func(given map[string]bool) (map[string]string, error)) error {
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(out, "Flags of %s:\n", fs.Name())
			fs.SetOutput(out)
			fs.PrintDefaults()
			return ErrHelp
		}
		return UsageError{err.Error()}
	}
	if fs.NArg() > 0 {
		return UsageError{fmt.Sprintf("unexpected argument %q", fs.Arg(0))}
	}
	given := map[string]bool{}
	set := func(lookup func(string) (string, bool)) (bad error) {
		fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
		fs.VisitAll(func(f *flag.Flag) {
			name := envName(f.Name)
			if v, ok := lookup(name); ok && !given[f.Name] && bad == nil {
				if err := fs.Set(f.Name, v); err != nil {
					bad = UsageError{fmt.Sprintf("%s: %v", name, err)}
				}
			}
		})
		return bad
	}
	if err := set(os.LookupEnv); err != nil || further == nil {
		return err
	}
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	settings, err := further(given)
	if err != nil {
		return err
	}
	return set(func(name string) (string, bool) { v, ok := settings[name]; return v, ok })
}

// envName is the name that a flag has in the environment.
func envName(flag string) string {
	return "MUSTER_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// ErrHelp says that a command only listed its flags.
var ErrHelp = flag.ErrHelp

// UsageError is a mistake in how a command was called. Exit code 2.
type UsageError struct{ Hint string }

func (e UsageError) Error() string { return e.Hint }

// complete fills defaults and checks what can be checked without opening anything.
func (c *Config) complete() error {
	if c.Logger == nil {
		c.Logger = standardLog()
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.schema == 0 {
		c.schema = schemaNow
	}
	if c.lookup == nil {
		c.lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if c.migrations == nil {
		c.migrations = migrations
	}
	host, port, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return UsageError{fmt.Sprintf("--listen %q: want host:port, for example :8443", c.Listen)}
	}
	if c.URL == "" {
		if host == "" || host == "0.0.0.0" || host == "::" {
			host = hostName()
		}
		c.URL = "https://" + net.JoinHostPort(host, port)
		if port == "443" {
			c.URL = "https://" + host
		}
	}
	if c.DeviceURL == "" {
		c.DeviceURL = c.URL
	}
	for flagName, u := range map[string]*string{"--url": &c.URL, "--device-url": &c.DeviceURL} {
		p, err := url.Parse(*u)
		if err != nil || p.Scheme != "https" || p.Host == "" || (p.Path != "" && p.Path != "/") || p.RawQuery != "" {
			return UsageError{fmt.Sprintf("%s %q: want an address like https://muster.example.org", flagName, *u)}
		}
		*u = strings.TrimSuffix(*u, "/")
	}
	if err := c.completeTLS(); err != nil {
		return err
	}
	if _, err := parseProxies(c.TrustedProxies); err != nil {
		return err
	}
	if c.Metrics != "" {
		if host, _, err := net.SplitHostPort(c.Metrics); err != nil || !isLoopback(host) {
			return UsageError{fmt.Sprintf("--metrics %q: want an address of this machine alone such as 127.0.0.1:9464; from elsewhere /metrics is read with an API token", c.Metrics)}
		}
	}
	if c.Data == "" {
		return UsageError{"--data: which directory?"}
	}
	if c.Key == "" {
		if c.Key, err = defaultKeyPath(); err != nil {
			return err
		}
	}
	if c.BackupDir == "" {
		c.BackupDir = filepath.Join(c.Data, "backups")
	}
	if c.SetupFile == "" {
		c.SetupFile = filepath.Join(c.Data, "setup-link")
	}
	return nil
}

// sealKeyVariable may hold the seal key itself, for containers that get their secrets so.
const sealKeyVariable = "MUSTER_SEAL_KEY"

// defaultKeyPath is the environment's key where there is one, then the systemd credential, else a file in the configuration directory.
func defaultKeyPath() (string, error) {
	if os.Getenv(sealKeyVariable) != "" {
		return "env:" + sealKeyVariable, nil
	}
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		return filepath.Join(dir, "seal.key"), nil
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", errors.New("no configuration directory for the seal key: name one with --key FILE")
	}
	return filepath.Join(dir, "muster", "seal.key"), nil
}

func defaultDataDir() string {
	if dir := os.Getenv("STATE_DIRECTORY"); dir != "" {
		return dir
	}
	dir, err := os.UserConfigDir()
	if err != nil {
		return "muster-data"
	}
	return filepath.Join(dir, "muster", "data")
}

func hostName() string {
	if h, err := os.Hostname(); err == nil && h != "" {
		return h
	}
	return "localhost"
}

func newFlagSet(name string) *flag.FlagSet {
	fs := flag.NewFlagSet("muster "+name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	return fs
}

// wns is the way to Microsoft's push service; the demo has none.
func (c Config) wns() http.RoundTripper {
	if c.WNS == nil && c.demo {
		return noNetwork{}
	}
	return c.WNS
}

// noNetwork reaches nobody.
type noNetwork struct{}

func (noNetwork) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("the demo contacts nobody")
}
