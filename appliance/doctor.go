package appliance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"muster/appliance/fleet"
	"muster/store"
	"muster/ui/words"
)

// ErrUnwell is returned by Doctor when a check failed. Exit code 1.
var ErrUnwell = errors.New("something needs you: see above")

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
	fs.StringVar(&c.Language, "language", "en", "`language`: en or nl")
	if err := parseAbout(fs, args, out); err != nil {
		return DoctorConfig{}, err
	}
	if _, ok := words.ParseLang(c.Language); !ok {
		return DoctorConfig{}, UsageError{fmt.Sprintf("--language %q: want en or nl", c.Language)}
	}
	return c, c.complete()
}

// doctor says what it finds. What needs someone comes from the same needs that the pages show: the running server is asked over its local
// socket, and looks at itself anew for it. Without a server, files and ports are what can be looked at.
type doctor struct {
	say  *words.Catalogue
	lang words.Lang
	out  io.Writer
	bad  bool
}

// Doctor checks what commonly goes wrong and says what to do. It changes nothing.
func Doctor(ctx context.Context, c DoctorConfig, out io.Writer) error {
	catalogue, err := words.Load(nil)
	if err != nil {
		return err
	}
	d := &doctor{say: catalogue, out: out}
	d.lang, _ = words.ParseLang(c.Language)
	d.files(c.Config)
	if status, err := askLocal(ctx, c.Data); err != nil {
		d.line("FAIL", "doctor.down", "data", c.Data)
		d.ports(c.Config)
	} else {
		d.server(status)
	}
	if d.bad {
		return ErrUnwell
	}
	return nil
}

// line writes one finding by its key, and what to do where there are words for it.
func (d *doctor) line(mark, key string, pairs ...string) {
	args := words.Args{}
	for i := 0; i+1 < len(pairs); i += 2 {
		args[pairs[i]] = pairs[i+1]
	}
	advice := ""
	if mark != "ok" && words.Has(key+".do") {
		advice = d.say.T(d.lang, key+".do", args)
	}
	d.write(mark, d.say.T(d.lang, key, args), advice)
}

func (d *doctor) write(mark, text, advice string) {
	fmt.Fprintf(d.out, "%-4s  %s\n", mark, text)
	if advice != "" {
		fmt.Fprintf(d.out, "      → %s\n", advice)
	}
	d.bad = d.bad || mark == "FAIL"
}

// need writes a need as the health page does.
func (d *doctor) need(n fleet.Need) {
	mark := map[string]string{fleet.SeverityError: "FAIL", fleet.SeverityWarning: "warn"}[n.Severity]
	if mark == "" {
		mark = "note"
	}
	advice := ""
	if key := "todo." + n.Reason.Code; words.Has(key) {
		advice = d.say.T(d.lang, key, nil)
	}
	d.write(mark, d.say.Reason(d.lang, n.Reason.Code, wordsArgs(n.Reason.Args), n.Reason.DeviceWords), advice)
}

// files looks at the directory and the seal key without opening the store.
func (d *doctor) files(c Config) {
	info, err := os.Stat(c.Data)
	switch {
	case errors.Is(err, os.ErrNotExist):
		d.line("warn", "doctor.data.none", "data", c.Data)
	case err != nil:
		d.line("FAIL", "doctor.data.unreadable", "data", c.Data, "why", err.Error())
	case othersRead(c.Data):
		d.line("warn", "doctor.data.open", "data", c.Data)
	default:
		d.line("ok", "doctor.data", "data", c.Data)
	}
	switch _, err := os.Stat(c.Key); {
	case strings.HasPrefix(c.Key, "env:"):
		if err := store.CheckSealKey(c.Data, c.Key); err != nil && info != nil {
			d.line("FAIL", "doctor.key.wrong", "why", err.Error())
		}
	case err != nil && info != nil:
		d.line("FAIL", "doctor.key.missing", "file", c.Key)
	case err == nil && othersRead(c.Key):
		d.need(fleet.NewNeed(fleet.SeverityWarning, "seal-key", fleet.Why("need.key-readable", "file", c.Key)))
	case err == nil:
		d.line("ok", "doctor.key", "file", c.Key)
	}
	if n := diskNeed(c.Data); n != nil {
		d.need(*n)
	} else if free, ok := store.FreeBytes(c.Data); ok {
		d.line("ok", "doctor.disk", "free", strconv.FormatUint(free, 10))
	}
}

// ports says whether the addresses could be had, when no server of ours has them.
func (d *doctor) ports(c Config) {
	for _, addr := range unique(c.Listen, c.HTTP) {
		if addr == "" {
			continue
		}
		ln, err := net.Listen("tcp", addr)
		switch {
		case err == nil:
			ln.Close()
			d.line("ok", "doctor.port", "addr", addr)
		case errors.Is(err, syscall.EADDRINUSE):
			d.line("FAIL", "doctor.port.taken", "addr", addr)
		case errors.Is(err, syscall.EACCES):
			d.line("FAIL", "doctor.port.denied", "addr", addr)
		default:
			d.line("FAIL", "doctor.port.other", "addr", addr, "why", err.Error())
		}
	}
}

// server writes what a running server says of itself. Needs about the machine were found above.
func (d *doctor) server(s *LocalStatus) {
	d.line("ok", "doctor.runs", "version", s.Version)
	if !s.SetUp {
		d.line("warn", "doctor.not-set-up")
	}
	for _, r := range s.Fine {
		d.line("ok", "doctor.reached", "address", r.Address, "family", r.Family)
	}
	for _, c := range s.Certificates {
		if c.Problem == nil && c.NotAfter.After(time.Now()) {
			d.line("ok", "doctor.certificate", "name", c.Name, "until", c.NotAfter.UTC().Format(time.RFC3339))
		}
	}
	if s.PushEnds != nil && s.PushEnds.After(time.Now()) {
		d.line("ok", "doctor.push", "topic", s.PushTopic, "until", s.PushEnds.UTC().Format(time.RFC3339))
	}
	if s.Backup != nil && !slices.ContainsFunc(s.Needs, func(n fleet.Need) bool { return n.Reason.Code == "need.backup-late" }) {
		d.line("ok", "doctor.backup", "at", s.Backup.UTC().Format(time.RFC3339))
	}
	d.line("ok", "doctor.store", "bytes", strconv.FormatInt(s.StoreBytes, 10))
	for _, n := range s.Needs {
		if n.Object != "disk" && n.Object != "seal-key" {
			d.need(n)
		}
	}
}

func unique(all ...string) []string {
	var out []string
	seen := map[string]bool{}
	for _, s := range all {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}
