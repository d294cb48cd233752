package fleet

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"muster/pki"
	"muster/store"
)

// situationOf reads what a plan for the device behind an identity depends on, for a message of it: the report is the caller's, who stores it
// again through the memo when it has changed. With compare the situation remembers the report as it was stored.
// Errors: ErrNoRecord, ErrUnrecognized, ErrIdentity.
func (f *Fleet) situationOf(tx store.Tx, id Identity, compare bool) (*situation, error) {
	d, err := f.planner.devices.Get(tx, string(id.Device))
	if errors.Is(err, store.ErrNotFound) {
		if gone, err := tombstones.Has(tx, string(id.Enrolment)); err != nil || gone {
			return nil, errors.Join(err, ErrUnrecognized)
		}
		return nil, ErrNoRecord
	}
	if err != nil {
		return nil, err
	}
	if d.Enrolment != id.Enrolment {
		return nil, ErrIdentity
	}
	if d.State.ended() {
		return nil, ErrUnrecognized
	}
	rep, err := reportFrom(tx, d, f.planner.reports.Take)
	if err != nil {
		return nil, err
	}
	return f.situate(tx, d.snapshot(), rep, compare)
}

// situationFor is the situation of a device at hand, looked at from inside.
func (f *Fleet) situationFor(tx store.Tx, d *Device) (*situation, error) {
	rep, err := reportOf(tx, d)
	if err != nil {
		return nil, err
	}
	return f.situate(tx, d, rep, false)
}

func (f *Fleet) situate(tx store.Tx, d *Device, rep *reported, compare bool) (*situation, error) {
	// Without its monotonic part the time is what will be read back from a record.
	s := &situation{now: f.now().UTC().Round(0), device: d, rep: rep, wakes: map[Channel]*Wake{}}
	module := f.modules[d.Platform]
	if module == nil {
		return nil, fmt.Errorf("no module for platform %q", d.Platform)
	}
	if m, ok := module.(RemovesWhole); ok {
		s.whole = m.RemovesWhole(d)
	}
	s.frames, _ = module.(RendersFrame)
	var err error
	if s.settings, err = f.settings(tx); err != nil {
		return nil, err
	}
	if compare {
		if s.read, err = json.Marshal(s.rep); err != nil {
			return nil, err
		}
	}
	if s.actions, err = s.rep.open(tx); err != nil {
		return nil, err
	}
	for _, ch := range d.Channels {
		w, err := f.planner.wakes.Get(tx, wakeID(d.ID, ch))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
		if err == nil {
			s.wakes[ch] = w
		}
	}
	if d.Person != "" {
		s.person, err = f.planner.people.Get(tx, string(d.Person))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	if s.config, err = f.config(tx); err != nil {
		return nil, err
	}
	if d.State != Managed && d.State != Enrolling {
		s.restored, err = f.Held(tx)
		return s, err
	}
	if s.profiles, s.unfit, err = f.wantedIn(tx, s.config, d, s.person); err != nil {
		return nil, err
	}
	for id := range s.rep.Blocked {
		if !s.wanted(id) {
			delete(s.rep.Blocked, id)
		}
	}
	if err := f.dueCertificates(tx, s); err != nil {
		return nil, err
	}
	if s.frames != nil {
		if s.frame, err = f.frame(tx, d); err != nil {
			return nil, err
		}
	}
	s.compose(module)
	s.queries = f.askable(s, module)
	return s, nil
}

// open are the actions that a report names and that have not ended; the others are struck from it. It is openActions without a scan.
func (r *reported) open(tx store.Tx) ([]*Action, error) {
	var out []*Action
	var ids []ActionID
	for _, id := range r.Open {
		a, err := actions.Get(tx, string(id))
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		switch a.State {
		case ActionQueued, ActionSent, ActionAcknowledged:
			out, ids = append(out, a), append(ids, id)
		}
	}
	r.Open = ids
	return out, nil
}

// openActions of a device, the oldest first.
func openActions(tx store.Tx, d DeviceID) ([]*Action, error) {
	var out []*Action
	err := actions.Each(tx, store.Query{Index: "open", Value: string(d)}, func(a *Action) (bool, error) {
		out = append(out, a)
		return true, nil
	})
	slices.SortFunc(out, func(a, b *Action) int { return bytes.Compare([]byte(a.ID), []byte(b.ID)) })
	return out, err
}

// dueCertificates raises the generation of identity profiles whose certificate ends soon, was revoked, or vanished from the device: a
// new generation makes a new version of the unit that holds it.
func (f *Fleet) dueCertificates(tx store.Tx, s *situation) error {
	for _, p := range s.profiles {
		a, ok := s.rep.Access[p.ID]
		if !ok || a.Generation != s.rep.generation(p.ID) {
			continue
		}
		if !s.now.Before(dueFrom(a.NotBefore, a.NotAfter, s.accessBefore(p))) {
			s.rep.reissue(p.ID)
			continue
		}
		c, err := f.pki.Certificate(tx, a.Fingerprint)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err == nil && !c.RevokedAt.IsZero() {
			s.rep.reissue(p.ID)
		}
	}
	return nil
}

// accessBefore is how long before its end the certificate of an identity profile is renewed.
func (s *situation) accessBefore(p *Profile) time.Duration {
	if days := p.Values().Int("renew_before"); days > 0 {
		return daysOf(days)
	}
	return s.renewBefore()
}

// accessBinding is what the certificate of an identity profile is issued for over a channel.
func accessBinding(p *Profile, s *situation, ch Channel) (pki.Binding, error) {
	w, err := IdentityFor(p, s.person)
	if err != nil {
		return pki.Binding{}, fmt.Errorf("identity profile %s: %w", p.ID, err)
	}
	return pki.Binding{Purpose: pki.Access, Enrolment: string(s.device.Enrolment), Device: string(s.device.ID), Person: string(s.device.Person),
		Profile: string(p.ID), Channel: ch.holder(), Generation: s.rep.generation(p.ID), Subject: w.Subject, Emails: w.Emails, UPN: w.UPN, Lifetime: w.Lifetime}, nil
}

// isBlocked says whether a profile is left out for now (B8).
func (s *situation) isBlocked(p *Profile) bool {
	b := s.rep.Blocked[p.ID]
	return b != nil && b.Revision == p.Revision && s.now.Before(b.Next)
}

// part is one profile as far as units depend on it.
type part struct {
	profile    *Profile
	generation int // of its certificate; 0 when it has none
}

// compose has the platform group what is wanted and gives each unit its version. Units that are composed of the same as before stay.
func (s *situation) compose(m Module) {
	parts := make([]part, 0, len(s.profiles))
	for _, p := range s.profiles {
		if s.isBlocked(p) {
			continue
		}
		x := part{profile: p}
		if p.Type == TypeIdentity {
			x.generation = s.rep.generation(p.ID)
		}
		parts = append(parts, x)
	}
	if s.parts != nil && slices.Equal(parts, s.parts) {
		return
	}
	byID := make(map[ProfileID]*Profile, len(parts))
	list := make([]*Profile, len(parts))
	for i, x := range parts {
		list[i], byID[x.profile.ID] = x.profile, x.profile
	}
	units := m.Compose(s.device, list)
	if s.frames != nil {
		units = append(units, s.frames.FrameUnits(s.device, s.frame)...)
	}
	for i := range units {
		if units[i].Channel == "" {
			units[i].Channel = DeviceChannel
		}
		units[i].Version = s.version(&units[i], byID)
	}
	s.units, s.parts = units, parts
}

// version is a hash of all that a unit is rendered from: its profiles' versions, the person's attributes that they take, certificate
// generations, and the frame where the platform renders it. Never of rendered bytes: those hold fresh secrets each time.
func (s *situation) version(u *Unit, byID map[ProfileID]*Profile) string {
	type part struct {
		ID         ProfileID
		Revision   int
		Generation int
		Roots      []int `json:",omitempty"` // revisions of roots in other units, which what is rendered names by their thumbprints
	}
	in := struct {
		Key     string
		Channel Channel
		Parts   []part
		Person  []string
		Frame   *Frame `json:",omitempty"`
	}{Key: u.Key, Channel: u.Channel, Frame: s.frameOf(u)}
	personal := false
	for _, id := range u.Profiles {
		x := part{ID: id}
		if p := byID[id]; p != nil {
			x.Revision = p.Revision
			if p.Type == TypeIdentity {
				x.Generation = s.rep.generation(id)
			}
			x.Roots = s.rootsOutside(p, u)
			personal = personal || p.Type == TypeIdentity || p.Type == TypeEmail || bytes.Contains(p.Settings, []byte("{{"))
		}
		in.Parts = append(in.Parts, x)
	}
	if p := s.person; personal && p != nil {
		in.Person = []string{string(p.ID), p.upn(), p.Mail, p.Name}
	}
	b, err := json.Marshal(in)
	if err != nil {
		panic(err) // strings and numbers only
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// rootsOutside are the revisions of the trusted roots that a profile of a unit refers to and that travel in other units. An identity only goes
// along with its root.
func (s *situation) rootsOutside(p *Profile, u *Unit) []int {
	if p.Type == TypeIdentity {
		return nil
	}
	var out []int
	for _, id := range s.config.refs[p.ID] {
		if r := s.config.profile(id); r != nil && r.Type == TypeTrustedRoot && !slices.Contains(u.Profiles, id) {
			out = append(out, r.Revision)
		}
	}
	return out
}

// askable are the platform's queries of which at least one fact may be taken, or which yield no facts.
func (f *Fleet) askable(s *situation, m Module) []QueryKind {
	var out []QueryKind
	for _, q := range m.Queries(s.device) {
		keys := m.FactsOf(q, s.device)
		if len(keys) == 0 || len(s.permitted(keys)) > 0 {
			out = append(out, q)
		}
	}
	return out
}

// permitted are those facts that the register allows to be taken from the device.
func (s *situation) permitted(keys []FactKey) []FactKey {
	on := switchesFor(s.settings, s.device.Switches, s.device.Ownership)
	var out []FactKey
	for _, k := range keys {
		if Allowed(k, s.device.Target(), on) {
			out = append(out, k)
		}
	}
	return out
}

// held lists the profile versions of a unit.
func (s *situation) held(u *Unit) []Held {
	var out []Held
	for _, id := range u.Profiles {
		for _, p := range s.profiles {
			if p.ID == id {
				out = append(out, Held{p.ID, p.Type, p.Name, p.Version, p.Revision, staysAtRetire(p)})
			}
		}
	}
	return out
}
