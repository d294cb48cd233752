package appliance

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"muster/ui/words"
)

// ErrUnwell is returned by Doctor when a check failed. Exit code 1.
var ErrUnwell = errors.New("something needs you: see above")

// Finding is the outcome of one check.
type Finding struct {
	Level string // "ok", "warn", "fail"
	What  string
	Do    string // what to do; empty when ok
}

// DoctorConfig is what `muster doctor` takes.
type DoctorConfig struct {
	Config
	Language string
}

// ParseDoctor reads the flags of `muster doctor`.
func ParseDoctor(args []string, out io.Writer) (DoctorConfig, error) {
	var c DoctorConfig
	fs := newFlagSet("doctor")
	c.flags(fs)
	fs.StringVar(&c.Language, "language", "en", "`language` of what the server reports: en or nl")
	if err := parse(fs, args, out); err != nil {
		return DoctorConfig{}, err
	}
	return c, c.complete()
}

// Doctor checks what commonly goes wrong and says what to do. It changes nothing.
func Doctor(ctx context.Context, c DoctorConfig, out io.Writer) error {
	findings := checkFiles(c.Config)
	status, err := askLocal(ctx, c.Data)
	if err != nil {
		findings = append(findings, Finding{"fail", "no server answers for " + c.Data, "start it: muster serve --data " + c.Data})
	} else {
		findings = append(findings, Finding{"ok", "the server runs, version " + status.Version, ""})
		findings = append(findings, checkServer(ctx, status, c.Language)...)
	}
	bad := false
	for _, f := range findings {
		mark := map[string]string{"ok": "ok  ", "warn": "warn", "fail": "FAIL"}[f.Level]
		fmt.Fprintf(out, "%s  %s\n", mark, f.What)
		if f.Do != "" {
			fmt.Fprintf(out, "      → %s\n", f.Do)
		}
		bad = bad || f.Level == "fail"
	}
	if bad {
		return ErrUnwell
	}
	return nil
}

// checkFiles looks at the directory and the seal key without opening the store.
func checkFiles(c Config) []Finding {
	var out []Finding
	info, err := os.Stat(c.Data)
	switch {
	case errors.Is(err, os.ErrNotExist):
		out = append(out, Finding{"warn", "there is no data directory " + c.Data + " yet", "muster serve makes it; or name the right one with --data"})
	case err != nil:
		out = append(out, Finding{"fail", err.Error(), "give this user the right to read it"})
	case info.Mode().Perm()&0o077 != 0:
		out = append(out, Finding{"warn", c.Data + " can be read by other users", "chmod 700 " + c.Data})
	default:
		out = append(out, Finding{"ok", "data directory " + c.Data, ""})
	}
	key, err := os.Stat(c.Key)
	abs, _ := filepath.Abs(c.Key)
	switch {
	case err != nil && info != nil:
		out = append(out, Finding{"fail", "the seal key " + c.Key + " is not there: without it the data cannot be read by anyone", "put it back from where you keep it, or name it with --key"})
	case err == nil && key.Mode().Perm()&0o077 != 0:
		out = append(out, Finding{"warn", "the seal key can be read by other users", "chmod 600 " + abs})
	case err == nil:
		out = append(out, Finding{"ok", "seal key " + c.Key, ""})
	}
	if free, ok := freeBytes(c.Data); ok && free < 1<<30 {
		out = append(out, Finding{"warn", fmt.Sprintf("less than 1 GB free under %s (%d MB)", c.Data, free>>20), "make room: a full disk stops all changes"})
	}
	return out
}

// checkServer looks at a running server from outside, as a device would, and lists what it says needs someone.
func checkServer(ctx context.Context, s *LocalStatus, language string) []Finding {
	var out []Finding
	if !s.SetUp {
		out = append(out, Finding{"warn", "Muster is not set up yet", "open the one-time link that it printed or wrote at its start"})
	}
	for _, raw := range unique(s.URL, s.DeviceURL) {
		out = append(out, reach(ctx, raw, s)...)
	}
	if s.OneName {
		out = append(out, Finding{"warn", "people and devices use the same address, so Apple devices prove who they are by signed messages only", "give devices a name or port of their own with --device-url"})
		if s.PCs {
			out = append(out, Finding{"warn", "PCs prove who they are by a certificate, so the browser of a managed machine asks which certificate to show when it opens " + s.URL, "the question can be cancelled; it goes away when devices have a name or port of their own"})
		}
	}
	if left := time.Until(s.CertEnds); s.TLS == TLSFiles && left < 21*24*time.Hour {
		out = append(out, Finding{"warn", fmt.Sprintf("the TLS certificate ends on %s", s.CertEnds.Format(time.DateOnly)), "replace the files; Muster reads them again within the hour"})
	}
	catalogue, err := words.Load(nil)
	if err != nil {
		return append(out, Finding{"fail", err.Error(), ""})
	}
	lang, _ := words.ParseLang(language)
	for _, n := range s.Needs {
		level := "warn"
		switch n.Severity {
		case "error":
			level = "fail"
		case "info":
			level = "ok"
		}
		out = append(out, Finding{level, catalogue.Reason(lang, n.Reason.Code, wordsArgs(n.Reason.Args), n.Reason.DeviceWords), ""})
	}
	return out
}

// reach resolves an address and asks it for /healthz, trusting the internal root as devices do.
func reach(ctx context.Context, raw string, s *LocalStatus) []Finding {
	where := addressOf(raw)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if _, err := net.DefaultResolver.LookupHost(ctx, where.host); err != nil {
		return []Finding{{"fail", "the name " + where.host + " cannot be found", "make a DNS record for it that leads to this machine"}}
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if root, err := x509.ParseCertificate(s.Root); err == nil && s.TLS == TLSInternal {
		roots.AddCert(root)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, raw+"/crl/issuing.crl", nil)
	if err != nil {
		return []Finding{{"fail", err.Error(), ""}}
	}
	resp, err := client.Do(req)
	if err != nil {
		return []Finding{{"fail", "this machine does not reach itself at " + raw + ": " + err.Error(), "check that the name leads here and that router and firewall let the port through"}}
	}
	resp.Body.Close()
	out := []Finding{{"ok", raw + " answers", ""}}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		if off := time.Since(date).Abs(); off > time.Minute {
			out = append(out, Finding{"warn", fmt.Sprintf("the clock is off by %s between here and %s", off.Round(time.Second), raw), "switch time synchronisation on"})
		}
	}
	return out
}

func unique(all ...string) []string {
	var out []string
	for _, s := range all {
		if !strings.Contains("\n"+strings.Join(out, "\n")+"\n", "\n"+s+"\n") {
			out = append(out, s)
		}
	}
	return out
}
