package fleet

import (
	"slices"
	"strings"

	"muster/pki"
	"muster/store"
)

// Values of RemovalRow.Proved.
const (
	proved    = "proved"
	notProved = "not-proved"
	notNeeded = "not-needed"
)

// dataOf is the row of the removal table (C3) that a kind of profile belongs to.
func dataOf(t ProfileType) string {
	switch t {
	case TypeEmail:
		return "email"
	case TypeIdentity, TypeTrustedRoot:
		return "certificates"
	case TypeWiFi, TypeVPN:
		return "wifi-vpn"
	case TypeWebLink:
		return "web-links"
	case TypeApp:
		return "company-apps"
	}
	return "settings"
}

// concerns says whether a row of the table is about a profile. Contacts go with the account that brought them.
func (r *RemovalRow) concerns(t ProfileType) bool {
	return r.Data == dataOf(t) || r.Data == "contacts" && t == TypeEmail
}

// about says whether a row is about something that the device holds. What is left on it belongs to what Muster did not bring.
func (r *RemovalRow) about(h Held) bool {
	if h.Stays {
		return r.Data == "other-apps"
	}
	return r.concerns(h.Type)
}

// goes says whether the row's data is taken away at all on this platform.
func (r *RemovalRow) goes() bool {
	return !strings.HasSuffix(r.Outcome.Code, "stays") && !strings.HasSuffix(r.Outcome.Code, "not-applicable")
}

// openReceipt begins the proof of a removal with what is on the device now.
func (f *Fleet) openReceipt(tx store.Tx, p *passage, kind string) error {
	d := p.device
	now := f.now().UTC()
	rc := &Receipt{ID: ReceiptID(store.NewID()), Device: d.ID, Enrolment: d.Enrolment, Kind: kind, Name: d.Name, Serial: d.Serial, Model: d.Model,
		PersonID: d.Person, Platform: d.Platform, Ownership: d.Ownership, By: p.by, Opened: now, Outcome: "open", Tags: slices.Clone(d.Tags)}
	if d.Person != "" {
		if who, err := people.Get(tx, string(d.Person)); err == nil {
			rc.Person = who.Name
		}
	}
	r := &removalReport{Receipt: rc.ID, Opened: now}
	for _, ch := range p.rep.channels() {
		for _, u := range p.rep.Channels[ch].Units {
			if u.mayHold() {
				r.Units = append(r.Units, removalUnit{Key: u.Unit.Key, Channel: ch, Profiles: u.holds()})
			}
		}
	}
	slices.SortFunc(r.Units, func(a, b removalUnit) int {
		return strings.Compare(string(a.Channel)+a.Key, string(b.Channel)+b.Key)
	})
	p.rep.Removal = r
	act := ActionType(kind)
	if !isLifecycle(act) {
		act = ActRetire
	}
	if m := f.modules[d.Platform]; m != nil {
		rc.Rows = slices.Clone(m.Removal(d, act))
	}
	f.writeRevoked(rc, p)
	settle(rc, r, Evidence{})
	if err := receipts.Put(tx, rc); err != nil {
		return err
	}
	f.publish(tx, "receipt", string(rc.ID))
	return nil
}

// holds lists the profiles that the unit has or may have on the device.
func (u *unitReport) holds() []Held {
	out := slices.Clone(u.Profiles)
	for _, id := range u.Unit.Profiles {
		if !slices.ContainsFunc(out, func(h Held) bool { return h.ID == id }) {
			out = append(out, u.sent(id))
		}
	}
	return out
}

// sent is a profile of the version handed over last, of which only the id may be known.
func (u *unitReport) sent(id ProfileID) Held {
	for _, h := range u.Handed {
		if h.ID == id {
			return h
		}
	}
	return Held{ID: id}
}

// writeRevoked puts the serials of revoked certificates into their rows, with the revocation as evidence.
func (f *Fleet) writeRevoked(rc *Receipt, p *passage) {
	byRow := map[string][]string{}
	for _, c := range p.revoked {
		row := "certificates"
		if c.Binding.Purpose == pki.Management {
			row = "management"
		}
		byRow[row] = append(byRow[row], c.Serial)
	}
	message := string(rc.ID)
	if p.action != nil {
		message = string(p.action.ID)
	}
	for i := range rc.Rows {
		row := &rc.Rows[i]
		for _, s := range byRow[row.Data] {
			if !slices.Contains(row.Serials, s) {
				row.Serials = append(row.Serials, s)
			}
		}
		if len(byRow[row.Data]) > 0 {
			row.addEvidence(Evidence{Message: message, At: f.now().UTC(), What: "revocation"})
		}
	}
	p.revoked = nil
}

func (r *RemovalRow) addEvidence(ev Evidence) {
	if ev.None() {
		return
	}
	for _, x := range r.Evidence {
		if x.Message == ev.Message && x.What == ev.What {
			return
		}
	}
	r.Evidence = append(r.Evidence, ev)
}

// settle derives each row's proof from how far the removal is. end proves that management ended, if anything does: what ends management
// takes with it everything that management brought.
func settle(rc *Receipt, r *removalReport, end Evidence) {
	for i := range rc.Rows {
		row := &rc.Rows[i]
		row.Items = nil
		switch {
		case !row.goes():
			row.Proved = notNeeded
			row.Items = r.left(row)
			continue
		case row.Data == "management":
			row.addEvidence(end)
			row.Proved, row.Why = proved, Reason{}
			if end.None() {
				row.Proved, row.Why = notProved, Why("receipt.waiting")
				if r.Unenrol != nil {
					row.Why = Reason{Code: "receipt.refused", DeviceWords: r.Unenrol.Reason.DeviceWords}
				}
			}
			continue
		}
		if rc.Kind == string(ActWipe) && row.Data != "directory" && !end.None() {
			row.addEvidence(end) // nothing is left, whatever it was
			row.Proved, row.Why = proved, Why("receipt.with-wipe")
			continue
		}
		concerned, missing := 0, 0
		var refused Reason
		for _, u := range r.Units {
			hit := false
			for _, h := range u.Profiles {
				if row.about(h) {
					hit = true
					if name := h.Name; name != "" && !slices.Contains(row.Items, name) {
						row.Items = append(row.Items, name)
					}
				}
			}
			if !hit {
				continue
			}
			concerned++
			if !u.Evidence.None() && !u.Listed {
				row.addEvidence(u.Evidence)
				if !r.Profiles.None() && !r.Profiles.At.Before(u.Evidence.At) {
					row.addEvidence(r.Profiles)
				}
				continue
			}
			missing++
			if u.Refused.Code != "" {
				refused = u.Refused
			}
		}
		if row.Data == "certificates" && concerned > 0 && !r.Certs.None() && len(r.Left) == 0 {
			row.addEvidence(r.Certs)
		}
		switch {
		case concerned == 0 && len(row.Serials) == 0:
			row.Proved, row.Why = notNeeded, Why("receipt.nothing-there")
		case missing == 0 && concerned > 0:
			row.Proved, row.Why = proved, Reason{}
		case !end.None():
			row.addEvidence(end)
			row.Proved, row.Why = proved, Why("receipt.with-management")
		case refused.Code != "":
			row.Proved, row.Why = notProved, Reason{Code: "receipt.refused", DeviceWords: refused.DeviceWords}
		case len(row.Serials) > 0:
			row.Proved, row.Why = notProved, Why("receipt.revoked-only")
		default:
			row.Proved, row.Why = notProved, Why("receipt.waiting")
		}
	}
}

// left names what a row says is left on the device by the profiles' own wish.
func (r *removalReport) left(row *RemovalRow) []string {
	var out []string
	for _, u := range r.Units {
		for _, h := range u.Profiles {
			if h.Stays && row.about(h) && h.Name != "" && !slices.Contains(out, h.Name) {
				out = append(out, h.Name)
			}
		}
	}
	return out
}

// outcome of a receipt by its rows.
func (rc *Receipt) outcome() string {
	good, bad, some := 0, 0, false
	for _, r := range rc.Rows {
		switch r.Proved {
		case proved:
			good++
		case notProved:
			bad++
			some = some || len(r.Evidence) > 0
		}
	}
	switch {
	case bad == 0:
		return "proved"
	case good > 0 || some:
		return "partly"
	}
	return "not-proved"
}

// updateReceipt brings the open receipt in line with the report.
func (f *Fleet) updateReceipt(tx store.Tx, rep *reported) error {
	if rep.Removal == nil {
		return nil
	}
	rc, err := receipts.Get(tx, string(rep.Removal.Receipt))
	if err != nil {
		return err
	}
	settle(rc, rep.Removal, Evidence{})
	f.publish(tx, "receipt", string(rc.ID))
	return receipts.Put(tx, rc)
}

// ensureReceipt opens a receipt for an end that nobody had ordered.
func (f *Fleet) ensureReceipt(tx store.Tx, p *passage, e lifecycleEvent) error {
	if p.rep.Removal != nil {
		return nil
	}
	kind := "left"
	if e == evReenrol {
		kind = "overtaken"
	}
	return f.openReceipt(tx, p, kind)
}

// closeReceipt gives the open receipt its outcome.
func (f *Fleet) closeReceipt(tx store.Tx, p *passage, e lifecycleEvent) error {
	if p.rep.Removal == nil {
		return nil
	}
	rc, err := receipts.Get(tx, string(p.rep.Removal.Receipt))
	if err != nil {
		return err
	}
	f.writeRevoked(rc, p)
	now := f.now().UTC()
	rc.Closed = &now
	switch e {
	case evCallOff:
		rc.Outcome = "called-off"
	case evReenrol, evWipe:
		rc.Outcome = "overtaken"
	case evDoor:
		settle(rc, p.rep.Removal, Evidence{})
		rc.Outcome = rc.outcome()
	case evLeave:
		settle(rc, p.rep.Removal, p.evidence)
		rc.Outcome = rc.outcome()
		if rc.Kind == string(ActWipe) || p.device.State == Wiping {
			rc.Outcome = "partly" // it left, and nothing says that it was erased
		}
	default:
		settle(rc, p.rep.Removal, p.evidence)
		rc.Outcome = rc.outcome()
	}
	if err := receipts.Put(tx, rc); err != nil {
		return err
	}
	f.publish(tx, "receipt", string(rc.ID))
	return f.event(tx, rc.Device, Why("event.receipt", "receipt", string(rc.ID), "outcome", rc.Outcome), p.evidence, p.by)
}
