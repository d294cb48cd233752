package appliance

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"muster/appliance/sim"
)

// SimulateConfig is what `muster simulate` takes.
type SimulateConfig struct {
	URL      string // invitation link
	Platform string // ios, macos or windows
	Count    int
	Mood     string // of PCs: one of pcMoods
	CA       string
}

// ParseSimulate reads the flags of `muster simulate`.
func ParseSimulate(args []string, out io.Writer) (SimulateConfig, error) {
	var c SimulateConfig
	fs := newFlagSet("simulate")
	fs.StringVar(&c.URL, "url", "", "invitation `link` with enough uses left")
	fs.StringVar(&c.Platform, "platform", "ios", "`ios`, macos or windows")
	fs.IntVar(&c.Count, "count", 1, "how many devices")
	fs.StringVar(&c.Mood, "mood", "obedient", "how PCs behave: `obedient`, refuses (a password rule is answered 405), loses (answers of the server), breaks-off, leaves (by itself after a minute) or slow")
	fs.StringVar(&c.CA, "ca", "", "root certificate `file` (PEM or DER) that the devices trust besides the system's")
	if err := parse(fs, args, out); err != nil {
		return SimulateConfig{}, err
	}
	if c.Platform == "android" {
		return SimulateConfig{}, UsageError{"an Android talks to Google, not to its server, so none can be simulated against a server elsewhere: muster demo shows them, with a stand-in for Google"}
	}
	if c.URL == "" || c.Count < 1 || !slices.Contains([]string{"ios", "macos", "windows"}, c.Platform) {
		return SimulateConfig{}, UsageError{"simulate needs --url LINK, --platform ios, macos or windows, and --count of at least 1"}
	}
	if _, known := pcMoods[c.Mood]; !known || c.Mood != "obedient" && c.Platform != "windows" {
		return SimulateConfig{}, UsageError{"--mood is obedient, refuses, loses, breaks-off, leaves or slow, with --platform windows"}
	}
	return c, nil
}

// pcMoods are the ways in which a simulated PC departs from the obedient one.
var pcMoods = map[string]sim.WindowsMood{
	"obedient":   {},
	"refuses":    {Answers: map[string]int{"./Device/Vendor/MSFT/Policy/Config/DeviceLock/AllowSimpleDevicePassword": 405}},
	"loses":      {LosesAnswers: 3},
	"breaks-off": {BreaksOff: 2},
	"leaves":     {UnenrolsItselfAfter: time.Minute},
	"slow":       {Slow: 5 * time.Second},
}

// Simulate enrols simulated devices against any server and lets them live until ctx ends.
func Simulate(ctx context.Context, c SimulateConfig, out io.Writer, log *slog.Logger) error {
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if c.CA != "" {
		raw, err := os.ReadFile(c.CA)
		if err != nil {
			return err
		}
		if cert, err := x509.ParseCertificate(raw); err == nil {
			roots.AddCert(cert)
		} else if !roots.AppendCertsFromPEM(raw) {
			return fmt.Errorf("%s holds no certificate", c.CA)
		}
	}
	_, err = sim.RunFleet(ctx, sim.FleetOptions{Link: c.URL, Platform: c.Platform, Count: c.Count, Roots: roots, Stay: true, Out: out, Logger: log,
		WindowsMood: func(int) sim.WindowsMood { return pcMoods[c.Mood] }})
	return err
}
