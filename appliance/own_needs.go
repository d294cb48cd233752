package appliance

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"muster/appliance/fleet"
	"muster/store"
)

// Free space under the data directory below which a person is told, and below which it is an error.
const (
	freeWarns = 1 << 30
	freeFails = 256 << 20
)

// ownNeeds are what the machine that Muster runs on needs of a person. It is asked on every page, so it looks only at what is at hand.
func (a *Appliance) ownNeeds(context.Context) ([]fleet.Need, error) {
	var out []fleet.Need
	add := func(severity, object, code string, pairs ...string) {
		out = append(out, fleet.NewNeed(severity, object, fleet.Why(code, pairs...)))
	}
	stats := a.db.Stats()
	if stats.NoRoom {
		add(fleet.SeverityError, "store", "need.store-full")
	}
	if stats.Failed {
		add(fleet.SeverityError, "store", "need.store-failed")
	}
	if n := diskNeed(a.config.Data); n != nil {
		out = append(out, *n)
	}
	if othersRead(a.config.Key) {
		add(fleet.SeverityWarning, "seal-key", "need.key-readable", "file", a.config.Key)
	}
	return out, nil
}

// diskNeed is what the free space under dir needs of a person, nil for nothing.
func diskNeed(dir string) *fleet.Need {
	free, ok := store.FreeBytes(dir)
	if !ok || free >= freeWarns {
		return nil
	}
	severity := fleet.SeverityWarning
	if free < freeFails {
		severity = fleet.SeverityError
	}
	n := fleet.NewNeed(severity, "disk", fleet.Why("need.disk-low", "free", strconv.FormatUint(free, 10), "path", dir))
	return &n
}

// sameDisk says whether two directories are on one file system. Where one does not exist yet, that of the nearest directory above it counts.
func sameDisk(a, b string) bool {
	first, ok := disk(above(a))
	second, ok2 := disk(above(b))
	return ok && ok2 && first == second
}

// above is the nearest directory at or above a path that exists.
func above(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || filepath.Dir(path) == path {
			return path
		}
		path = filepath.Dir(path)
	}
}

// othersRead says whether other users of the machine may read a file. Windows keeps such rights elsewhere.
func othersRead(path string) bool {
	info, err := os.Stat(path)
	return err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0
}

// tlsWarnsBefore are the days before its end at which a certificate that nobody renews by itself becomes a matter.
const (
	tlsWarnsBefore = 21 * 24 * time.Hour
	tlsFailsBefore = 7 * 24 * time.Hour
)

// tlsNeeds are what the certificates of the server need of a person.
func (a *Appliance) tlsNeeds(context.Context) ([]fleet.Need, error) {
	var out []fleet.Need
	now := a.config.Clock()
	for _, c := range a.tls.Certificates() {
		add := func(severity string, r fleet.Reason) {
			if c.Further && severity == fleet.SeverityError { // the addresses answer all the same
				severity = fleet.SeverityWarning
			}
			out = append(out, fleet.NewNeed(severity, "tls/"+c.Name, r))
		}
		left := c.NotAfter.Sub(now)
		days := strconv.Itoa(int((left + 24*time.Hour - 1) / (24 * time.Hour)))
		until := c.NotAfter.UTC().Format(time.RFC3339)
		severity := fleet.SeverityWarning
		if left < min(tlsFailsBefore, c.NotAfter.Sub(c.NotBefore)/6) {
			severity = fleet.SeverityError
		}
		if left <= 0 {
			add(fleet.SeverityError, fleet.Why("need.tls-expired", "name", c.Name, "until", until))
		}
		switch {
		case c.Problem != nil:
			if c.Source == fleet.TLSInternal {
				severity = fleet.SeverityError // the mode that was asked for serves nothing yet
			}
			add(severity, *c.Problem)
		case left > 0 && c.Source != fleet.TLSInternal && left < min(tlsWarnsBefore, c.NotAfter.Sub(c.NotBefore)/4):
			add(severity, fleet.Why("need.tls-ends", "name", c.Name, "until", until, "days", days))
		}
		if !c.Covers {
			add(fleet.SeverityError, fleet.Why("need.tls-name", "name", c.Name))
		}
		if !c.Trusted {
			add(fleet.SeverityHint, fleet.Why("need.tls-chain", "name", c.Name))
		}
	}
	for _, name := range a.tls.further() {
		if port := a.doors.public.port; port != "443" && strings.HasPrefix(name, "enterpriseenrollment.") {
			out = append(out, fleet.NewNeed(fleet.SeverityHint, "tls/"+name, fleet.Why("need.tls-name-port", "name", name, "port", port)))
		}
	}
	if a.doors.oneName {
		out = append(out, fleet.NewNeed(fleet.SeverityHint, "addresses", fleet.Why("need.one-name")))
		if a.pcs.Load() {
			out = append(out, fleet.NewNeed(fleet.SeverityHint, "addresses", fleet.Why("need.one-name-pcs", "address", a.config.URL)))
		}
	}
	if a.config.HTTP == "" {
		out = append(out, fleet.NewNeed(fleet.SeverityHint, "revocation", fleet.Why("need.revocation-https")))
	}
	return out, nil
}
