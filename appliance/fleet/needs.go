package fleet

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"muster/pki"
	"muster/store"
)

// Need is a thing that needs a person; shown on the overview and the health page, in doctor and /readyz. Its kinds are declared in warnings.go.
type Need struct {
	Severity string `json:"severity"` // "error", "warning", "info"
	Reason   Reason `json:"reason,omitzero"`
	Link     string `json:"link"` // UI path of the place to mend it
	Object   string `json:"object"`
}

const (
	silentAfter    = 14 * 24 * time.Hour // a switched-on device calls daily
	needsFresh     = 2 * time.Minute     // how long a walk over all devices serves
	needsKept      = 1000                // devices kept of each kind
	receiptsBack   = 30 * 24 * time.Hour
	attacksBack    = 24 * time.Hour
	attacksLeast   = 10
	outageTold     = 10 * time.Minute // a push service is out now and then
	caWarnsBefore  = 365 * 24 * time.Hour
	strangersShown = 100
	identityWarns  = 30 * 24 * time.Hour // a device renews its identity well before that (Settings.RenewBefore)
)

// pushWarnings are the days before its end at which the push certificate becomes a matter, with how grave it is.
var pushWarnings = []struct {
	days     int
	severity string
}{{1, "error"}, {7, "error"}, {14, "warning"}, {30, "warning"}, {60, "info"}}

// deviceNeeds is what a walk over all devices found. Devices are kept with their tags, so that each actor gets those in his scope.
type deviceNeeds struct {
	mu     sync.Mutex
	at     time.Time
	silent []*Device
	warned []*Device
	ending []*Device // by the end of their identities
}

// Needs lists what needs a person now, gravest first within each kind, within the actor's rights and scope.
func (f *Fleet) Needs(ctx context.Context, a Actor) ([]Need, error) {
	if a.Kind == "" {
		return nil, Refuse(ErrForbidden, "forbidden", "permission", string(DevicesRead))
	}
	n := &needs{f: f, a: a, now: f.now()}
	err := f.db.View(ctx, func(tx store.Tx) error {
		for _, look := range []func(store.Tx) error{n.push, n.pushDown, n.authority, n.terms, n.failures, n.removals, n.strangers, n.attacks, n.devices, n.rules, n.jobs, n.backups} {
			if err := look(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	outside, err := f.outsideNeeds(ctx, a)
	if err != nil {
		return nil, err
	}
	n.found = append(outside, n.found...)
	var out []Need
	for _, s := range severities {
		for _, x := range n.found {
			if x.Severity == s {
				out = append(out, x)
			}
		}
	}
	return out, nil
}

// needs is one look at everything for one actor.
type needs struct {
	f     *Fleet
	a     Actor
	now   time.Time
	found []Need
}

func (n *needs) add(severity, link, object string, r Reason) {
	n.found = append(n.found, Need{Severity: severity, Reason: r, Link: link, Object: object})
}

// push looks after the push certificate: without one no Apple device can be woken (P12, P14, P15).
func (n *needs) push(tx store.Tx) error {
	if !n.a.May(SettingsRead) {
		return nil
	}
	p, err := readPush(tx)
	if err != nil {
		return err
	}
	if p == nil {
		severity := "info" // an organisation may have no Apple devices, and need none
		if there, err := anyDevice(tx, IOS, IPadOS, MacOS); err != nil {
			return err
		} else if there {
			severity = "error"
		}
		n.add(severity, "/settings/apple", "push-certificate", Why("need.push-missing"))
		return nil
	}
	left := p.NotAfter.Sub(n.now)
	args := []string{"account", p.AppleAccount, "until", timeText(p.NotAfter)}
	if left <= 0 {
		n.add("error", "/settings/apple", "push-certificate", Why("need.push-expired", args...))
		return nil
	}
	for _, w := range pushWarnings {
		if left <= time.Duration(w.days)*24*time.Hour {
			days := int((left + 24*time.Hour - 1) / (24 * time.Hour))
			n.add(w.severity, "/settings/apple", "push-certificate", Why("need.push-ends", append(args, "days", strconv.Itoa(days))...))
			return nil
		}
	}
	return nil
}

// pushDown tells of push services that have been out for a while. Without words from outside it is the certificate, which push looks after.
func (n *needs) pushDown(tx store.Tx) error {
	if !n.a.May(SettingsRead) {
		return nil
	}
	return outages.Each(tx, store.Query{}, func(o *outage) (bool, error) {
		if n.now.Sub(o.Since) < outageTold || o.Reason.DeviceWords == "" {
			return true, nil
		}
		args := []string{"since", timeText(o.Since), "why", o.Reason.DeviceWords}
		if o.Service == Windows { // PCs call every ten minutes all the same
			n.add(SeverityWarning, "/settings/windows", "push-service", Why("need.push-down-windows", args...))
		} else {
			n.add(SeverityError, "/settings/apple", "push-service", Why("need.push-down-apple", args...))
		}
		return true, nil
	})
}

// authority warns a year before our own issuing authority ends: what it issued ends with it.
func (n *needs) authority(store.Tx) error {
	if !n.a.May(CertsRead) || !n.a.AllTags {
		return nil
	}
	if end := n.f.pki.Issuing().NotAfter; end.Sub(n.now) < caWarnsBefore {
		n.add("warning", "/certificates", "certificate-authority", Why("need.authority-ends", "until", timeText(end)))
	}
	return nil
}

func (n *needs) terms(tx store.Tx) error {
	_, err := presentTerms(tx)
	if errors.Is(err, ErrNotFound) {
		if n.a.May(TermsEdit) || n.a.May(InviteWrite) {
			n.add("error", "/settings/terms", "terms", Why("need.terms-missing"))
		}
		return nil
	}
	return err
}

// failures counts profiles that failed, from the kept counters.
func (n *needs) failures(tx store.Tx) error {
	if !n.a.May(ProfilesRead) {
		return nil
	}
	totals, err := n.f.statusTotals(tx, n.a)
	if err != nil {
		return err
	}
	for _, s := range []ProfileStatusCode{StatusError, StatusConflict, StatusWaitsPerson} {
		if c := totals[s]; c > 0 {
			severity := "warning"
			if s == StatusWaitsPerson {
				severity = "info"
			}
			n.add(severity, "/profiles?status="+string(s), "profiles", Why("need.profiles-"+string(s), "count", strconv.Itoa(c)))
		}
	}
	return nil
}

// removals names recent removals that ended without full proof.
func (n *needs) removals(tx store.Tx) error {
	if !n.a.May(DevicesRead) {
		return nil
	}
	looked, count := 0, 0
	var last *Receipt
	err := receipts.Each(tx, store.Query{Reverse: true}, func(r *Receipt) (bool, error) {
		looked++
		if n.now.Sub(r.Opened) > receiptsBack {
			return false, nil
		}
		if r.Closed != nil && (r.Outcome == "not-proved" || r.Outcome == "partly") && sees(n.a, r.Tags) {
			count++
			if last == nil {
				last = r
			}
		}
		return looked < scanMost, nil
	})
	if err != nil {
		return fmt.Errorf("look at receipts: %w", err)
	}
	if count > 0 {
		n.add("warning", "/receipts/"+string(last.ID), "receipt/"+string(last.ID), Why("need.removal-not-proved", "count", strconv.Itoa(count), "device", last.Name))
	}
	return nil
}

// strangers are devices with a genuine certificate but no record.
func (n *needs) strangers(tx store.Tx) error {
	if !n.a.May(DevicesRead) || !n.a.AllTags {
		return nil
	}
	c, err := strangers.Count(tx, store.Query{Limit: strangersShown})
	if err != nil {
		return fmt.Errorf("count strangers: %w", err)
	}
	if c > 0 {
		n.add("warning", "/devices", "strangers", Why("need.strangers", "count", strconv.Itoa(c)))
	}
	return nil
}

// attacks looks for many failed sign-ins within a day, from the log.
func (n *needs) attacks(tx store.Tx) error {
	if !n.a.May(AuditRead) || !n.a.AllTags {
		return nil
	}
	count := 0
	from := ""
	err := auditLog.Each(tx, store.Query{Index: "verb", Value: verbSignInFailed, Reverse: true, Limit: 1000}, func(r *AuditRecord) (bool, error) {
		if n.now.Sub(r.At) > attacksBack {
			return false, nil
		}
		count++
		if from == "" {
			from = r.From
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("look at failed sign-ins: %w", err)
	}
	if count >= attacksLeast {
		n.add("warning", "/audit?verb="+verbSignInFailed, "sign-in", Why("need.sign-in-attacks", "count", strconv.Itoa(count), "from", from))
	}
	return nil
}

// devices names those that have been silent long and those with a warning of their own. The walk over all devices is done at most every
// two minutes, whoever asks.
func (n *needs) devices(tx store.Tx) error {
	if !n.a.May(DevicesRead) {
		return nil
	}
	k := &n.f.org.needs
	k.mu.Lock()
	defer k.mu.Unlock()
	if age := n.now.Sub(k.at); age >= needsFresh || age < 0 {
		k.silent, k.warned, k.ending = nil, nil, nil
		for _, s := range []State{Managed, Enrolling, Retiring, Wiping} {
			err := devices.Each(tx, store.Query{Index: "state", Value: string(s)}, func(d *Device) (bool, error) {
				if d.Warning != nil && len(k.warned) < needsKept {
					k.warned = append(k.warned, d)
				}
				if d.State == Managed && n.now.Sub(d.LastSeen) > silentAfter && len(k.silent) < needsKept {
					k.silent = append(k.silent, d)
				}
				return true, nil
			})
			if err != nil {
				k.at = time.Time{}
				return fmt.Errorf("look at devices: %w", err)
			}
		}
		var err error
		if k.ending, err = n.f.endingIdentities(tx, n.now); err != nil {
			k.at = time.Time{}
			return err
		}
		k.at = n.now
	}
	if silent, name := seenOf(n.a, k.silent); silent > 0 {
		n.add("warning", "/devices?silent=14", "devices", Why("need.devices-silent", "count", strconv.Itoa(silent), "days", "14", "device", name))
	}
	if ending, name := seenOf(n.a, k.ending); ending > 0 {
		n.add("warning", "/certificates", "identities", Why("need.identities-end", "count", strconv.Itoa(ending), "days", strconv.Itoa(int(identityWarns/(24*time.Hour))), "device", name))
	}
	shown := 0
	for _, d := range k.warned {
		if sees(n.a, d.Tags) && shown < 20 {
			shown++
			n.add("warning", "/devices/"+string(d.ID), "device/"+string(d.ID), *d.Warning)
		}
	}
	return nil
}

// seenOf counts the devices within an actor's scope and names the first.
func seenOf(a Actor, list []*Device) (count int, name string) {
	for _, d := range list {
		if sees(a, d.Tags) {
			if count == 0 {
				name = d.Name
			}
			count++
		}
	}
	return count, name
}

// endingIdentities are the managed devices whose identity ends soon and has no successor, the first to end first: those that did not call in the weeks in
// which it should have been renewed, and those that refuse to renew it.
func (f *Fleet) endingIdentities(tx store.Tx, now time.Time) (out []*Device, err error) {
	live := false
	q := pki.CertificateQuery{Purpose: pki.Management, Revoked: &live, ExpiresFrom: now, ExpiresTo: now.Add(identityWarns), Limit: 500}
	for looked := 0; looked < scanMost; looked += q.Limit {
		page, err := f.pki.Certificates(tx, q)
		if err != nil {
			return nil, fmt.Errorf("look at identities: %w", err)
		}
		for _, c := range page.Items {
			d, _, err := certificateDevice(tx, Actor{}, c)
			if err != nil {
				return nil, err
			}
			if d != nil && d.State == Managed && string(d.Enrolment) == c.Binding.Enrolment && len(out) < needsKept {
				out = append(out, d)
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			break
		}
	}
	return out, nil
}
