package fleet

import (
	"context"
	"slices"
)

// Warning is a kind of Need: everything that may ask for a person is declared here once. The banner, the health page, doctor, /readyz and the
// metrics all take from it; words hold "reason.<code>" (what is so) and "todo.<code>" (what to do) for each.
type Warning struct {
	Code string
	Args []string // of the reason
	Link string   // UI path of the place to mend it; "" = the need says, or it is mended outside of Muster
}

// warnings in the order of the health page, for needs of one severity.
var warnings = []Warning{
	{Code: "need.restored", Args: []string{"count", "backup"}, Link: "/restored"},
	{Code: "need.store-failed", Link: "/health"},
	{Code: "need.store-full", Link: "/health"},
	{Code: "need.disk-low", Args: []string{"free", "path"}, Link: "/health"},
	{Code: "need.clock-off", Args: []string{"by", "than"}, Link: "/health"},
	{Code: "need.key-readable", Args: []string{"file"}, Link: "/health"},
	{Code: "need.tls-expired", Args: []string{"name", "until"}, Link: "/settings/tls"},
	{Code: "need.tls-ends", Args: []string{"name", "until", "days"}, Link: "/settings/tls"},
	{Code: "need.tls-unreachable", Args: []string{"name", "ca", "why"}, Link: "/settings/tls"},
	{Code: "need.tls-refused", Args: []string{"name", "ca", "why"}, Link: "/settings/tls"},
	{Code: "need.tls-limited", Args: []string{"name", "ca", "why"}, Link: "/settings/tls"},
	{Code: "need.tls-files", Args: []string{"file", "why"}, Link: "/settings/tls"},
	{Code: "need.tls-name", Args: []string{"name"}, Link: "/settings/tls"},
	{Code: "need.tls-name-own", Args: []string{"name"}, Link: "/settings/tls"},
	{Code: "need.tls-name-port", Args: []string{"name", "port"}, Link: "/settings/tls"},
	{Code: "need.tls-chain", Args: []string{"name"}, Link: "/settings/tls"},
	{Code: "need.name-unknown", Args: []string{"name"}, Link: "/settings/tls"},
	{Code: "need.name-unreachable", Args: []string{"address", "family"}, Link: "/settings/tls"},
	{Code: "need.name-elsewhere", Args: []string{"address", "family"}, Link: "/settings/tls"},
	{Code: "need.one-name-pcs", Args: []string{"address"}, Link: "/settings/tls"},
	{Code: "need.one-name", Link: "/settings/tls"},
	{Code: "need.revocation-https", Link: "/settings/tls"},
	{Code: "need.recovery-missing", Link: "/settings/backup"},
	{Code: "need.backup-late", Args: []string{"since"}, Link: "/settings/backup"},
	{Code: "need.backup-failed", Link: "/settings/backup"},
	{Code: "need.backup-same-disk", Args: []string{"place", "days"}, Link: "/settings/backup"},
	{Code: "need.rehearsal-failed", Link: "/settings/backup"},
	{Code: "need.push-missing", Link: "/settings/apple"},
	{Code: "need.push-expired", Args: []string{"account", "until"}, Link: "/settings/apple"},
	{Code: "need.push-ends", Args: []string{"account", "until", "days"}, Link: "/settings/apple"},
	{Code: "need.push-down-apple", Args: []string{"since", "why"}, Link: "/settings/apple"},
	{Code: "need.push-down-windows", Args: []string{"since", "why"}, Link: "/settings/windows"},
	{Code: "need.authority-ends", Args: []string{"until"}, Link: "/certificates"},
	{Code: "need.terms-missing", Link: "/settings/terms"},
	{Code: "need.profiles-error", Args: []string{"count"}},
	{Code: "need.profiles-conflict", Args: []string{"count"}},
	{Code: "need.profiles-waiting-person", Args: []string{"count"}},
	{Code: "need.removal-not-proved", Args: []string{"count", "device"}},
	{Code: "need.strangers", Args: []string{"count"}, Link: "/restored"},
	{Code: "need.sign-in-attacks", Args: []string{"count", "from"}, Link: "/audit?verb=" + verbSignInFailed},
	{Code: "need.job-failed", Args: []string{"job", "at", "cause"}},
	{Code: "need.rule-waits", Args: []string{"rule", "count", "covered", "share"}},
	{Code: "need.devices-silent", Args: []string{"count", "days", "device"}, Link: "/devices?silent=14"},
	{Code: "need.identities-end", Args: []string{"count", "days", "device"}, Link: "/certificates"},
}

// Warnings lists every kind of need that is declared.
func Warnings() []Warning { return slices.Clone(warnings) }

// severities from the gravest on.
var severities = []string{SeverityError, SeverityWarning, SeverityInfo, SeverityHint}

// Severities of a need. An error is shown on every page and makes doctor fail.
const (
	SeverityError   = "error"
	SeverityWarning = "warning"
	SeverityInfo    = "info"
	SeverityHint    = "hint" // advice that can wait for ever: on the health page and in doctor only
)

// NewNeed makes a need of a declared kind, with the link that the declaration has.
func NewNeed(severity, object string, r Reason) Need {
	n := Need{Severity: severity, Reason: r, Object: object}
	if i := slices.IndexFunc(warnings, func(w Warning) bool { return w.Code == r.Code }); i >= 0 {
		n.Link = warnings[i].Link
	}
	return n
}

// NeedSource says what needs a person outside of the domain: certificate of the server, disk, clock, backups. It is asked whenever anyone asks
// for needs, so it answers from what it knows already.
type NeedSource func(ctx context.Context) ([]Need, error)

// AddNeeds adds a source of needs, before anything is served. Those who may read the settings of everything see what it says.
func (f *Fleet) AddNeeds(s NeedSource) { f.needSources = append(f.needSources, s) }

// outside asks the sources.
func (f *Fleet) outsideNeeds(ctx context.Context, a Actor) ([]Need, error) {
	if !a.May(SettingsRead) || !a.AllTags {
		return nil, nil
	}
	var out []Need
	for _, s := range f.needSources {
		more, err := s(ctx)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// warningCodes are the codes of all declared needs with their arguments, for ReasonCodes.
func warningCodes() map[string][]string {
	out := keeperCodes()
	for _, w := range warnings {
		out[w.Code] = w.Args
	}
	return out
}
