package fleet

import (
	"errors"
	"slices"
	"time"

	"muster/pki"
	"muster/store"
)

// unitsMost bounds the units of a channel: a device may claim to hold any number.
const unitsMost = 50

// blockedFor is how long a profile that meets an existing account waits for its next try (B8).
const blockedFor = 24 * time.Hour

// answer takes in what a device says to an order. An answer that comes twice changes nothing. ended says that the enrolment came to its end.
func (f *Fleet) answer(tx store.Tx, x *exchange) (ended bool, err error) {
	s, ans := x.s, x.ans
	o, err := orders.Get(tx, string(ans.Order))
	if errors.Is(err, store.ErrNotFound) || err == nil && (o.Device != s.device.ID || o.Enrolment != s.device.Enrolment || o.Channel != x.c.Channel) {
		f.log.Warn("answer to an order that is not this device's", "device", s.device.ID, "order", clip(string(ans.Order), 100), "channel", x.c.Channel)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !o.Answered.IsZero() {
		f.log.Info("answer came again", "device", s.device.ID, "order", o.ID)
		return false, nil
	}
	o.Answered, o.Message, o.Outcome, o.Reason = s.now, x.c.Message, ans.Outcome, ans.Reason
	o.Reason.DeviceWords = clip(o.Reason.DeviceWords, 2000)
	ans.Reason.DeviceWords = o.Reason.DeviceWords
	if err := orders.Put(tx, o); err != nil {
		return false, err
	}
	ch := s.rep.channel(x.c.Channel)
	if ch.InFlight == o.ID {
		ch.InFlight, ch.Doing = "", ""
	}
	switch ans.Outcome {
	case Postponed:
		ch.skip(stepKey(o.Step))
	case Malformed:
		f.log.Error("device calls an order malformed", "device", s.device.ID, "order", o.ID, "step", stepKey(o.Step), "words", o.Reason.DeviceWords)
	}
	ev := Evidence{Message: string(o.ID), At: x.c.At, What: "acknowledged"}
	switch o.Step.Kind {
	case StepInstall:
		x.rows = true
		return false, f.answerInstall(tx, x, o, ch, ev)
	case StepRemove:
		x.rows = true
		return false, f.answerRemove(tx, x, o, ch, ev)
	case StepQuery:
		return false, f.answerQuery(tx, x, o, ch, ev)
	case StepAction:
		x.acted = true
		return f.answerAction(tx, x, o, ev)
	case StepRenew:
		switch ans.Outcome {
		case Done: // the new identity has still to be seen
			s.rep.Renewal = &failure{Reason: Why("waiting.identity-use"), At: ev.At, Next: ev.At.Add(24 * time.Hour), Message: ev.Message}
		case Postponed:
		default:
			s.rep.Renewal = failed(s.rep.Renewal, "", ans.Reason, ev, false) // a renewal is a standing wish: its tries never end
			return false, f.event(tx, s.device.ID, Reason{Code: "event.renewal-failed", DeviceWords: ans.Reason.DeviceWords}, ev, "")
		}
		return false, nil
	case StepUnenrol:
		return f.answerUnenrol(tx, x, ev)
	}
	return false, nil
}

func (f *Fleet) answerInstall(tx store.Tx, x *exchange, o *orderRecord, ch *channelReport, ev Evidence) error {
	s, ans := x.s, x.ans
	u := ch.unit(*o.Step.Unit, &s.rep.Next)
	switch ans.Outcome {
	case Done, Absent:
		u.Present, u.Profiles, u.Acknowledged, u.Confirmed, u.Removed = o.Step.Unit.Version, o.Held, ev, Evidence{}, Evidence{}
		u.NotRemoved, u.Postponed = nil, 0
		if u.Failed != nil && u.Failed.Version != o.Step.Unit.Version || u.Failed != nil && !u.Failed.Unseen {
			u.Failed = nil
		}
		for _, h := range o.Held {
			delete(s.rep.Blocked, h.ID)
		}
		if _, err := f.noteAccess(tx, s, o.Certs); err != nil {
			return err
		}
		if len(o.Certs) > 0 {
			s.rep.channel(DeviceChannel).query(QueryCertificates).Wanted = true
		}
		return f.profileEvents(tx, s, o.Held, "event.profile-delivered", Reason{}, ev)
	case Postponed:
		u.Postponed++
		u.NotNow = Evidence{Message: ev.Message, At: ev.At, What: "postponed"}
		return nil
	case Failed:
		if ans.Account {
			return f.block(tx, s, o, u, ans, ev)
		}
		u.Failed = failed(u.Failed, o.Step.Unit.Version, ans.Reason, ev, false)
	default:
		u.Failed = failed(u.Failed, o.Step.Unit.Version, ans.Reason, ev, true)
	}
	u.Failed.Blames = ans.Blames
	u.back()
	return f.profileEvents(tx, s, blamed(o.Held, ans.Blames), "event.profile-failed", ans.Reason, ev)
}

// blamed are the profiles that an error speaks of: those of a type, or all when none is of it.
func blamed(held []Held, t ProfileType) []Held {
	var out []Held
	for _, h := range held {
		if h.Type == t {
			out = append(out, h)
		}
	}
	if len(out) == 0 {
		return held
	}
	return out
}

// block takes the blamed profiles out of their unit: the rest is delivered without them, they are tried again daily, at a new version, or
// when somebody says that the account is gone.
func (f *Fleet) block(tx store.Tx, s *situation, o *orderRecord, u *unitReport, ans *Answer, ev Evidence) error {
	t := ans.Blames
	if t == "" {
		t = TypeEmail
	}
	list := blamed(o.Held, t)
	if s.rep.Blocked == nil {
		s.rep.Blocked = map[ProfileID]*blocked{}
	}
	for _, h := range list {
		b := s.rep.Blocked[h.ID]
		if b == nil || b.Version != h.Version {
			b = &blocked{Version: h.Version, Since: ev.At}
			s.rep.Blocked[h.ID] = b
		}
		b.Reason, b.Next, b.Message = ans.Reason, ev.At.Add(blockedFor), ev.Message
	}
	u.back() // the device kept what it had: its former version, or nothing
	return f.profileEvents(tx, s, list, "event.profile-blocked", ans.Reason, ev)
}

func idsOf(held []Held) []ProfileID {
	var out []ProfileID
	for _, h := range held {
		out = append(out, h.ID)
	}
	return out
}

// profileEvents writes one line a profile.
func (f *Fleet) profileEvents(tx store.Tx, s *situation, held []Held, code string, r Reason, ev Evidence) error {
	for _, h := range held {
		line := Reason{Code: code, Args: map[string]string{"profile": h.Name}, DeviceWords: r.DeviceWords}
		if err := f.event(tx, s.device.ID, line, ev, ""); err != nil {
			return err
		}
	}
	return nil
}

// noteAccess remembers the newest certificate of each identity profile, given with its generation, in a unit that was installed.
func (f *Fleet) noteAccess(tx store.Tx, s *situation, certs map[ProfileID]int) (changed bool, err error) {
	if len(certs) == 0 {
		return false, nil
	}
	newest := map[ProfileID]*pki.Certificate{}
	q := pki.CertificateQuery{Enrolment: string(s.device.Enrolment), Purpose: pki.Access, Limit: 200}
	for {
		page, err := f.pki.Certificates(tx, q)
		if err != nil {
			return false, err
		}
		for _, c := range page.Items {
			p := ProfileID(c.Binding.Profile)
			if _, ok := certs[p]; !ok || c.Revoked() {
				continue
			}
			if n := newest[p]; n == nil || c.IssuedAt.After(n.IssuedAt) {
				newest[p] = c
			}
		}
		if page.Next == "" {
			break
		}
		q.Cursor = page.Next
	}
	for p, c := range newest {
		if s.rep.Access == nil {
			s.rep.Access = map[ProfileID]accessReport{}
		}
		if s.rep.Access[p].Fingerprint != c.Fingerprint {
			s.rep.Access[p] = accessReport{Fingerprint: c.Fingerprint, Serial: c.Serial, NotBefore: c.NotBefore, NotAfter: c.NotAfter, Generation: certs[p]}
			changed = true
		}
	}
	return changed, nil
}

func (f *Fleet) answerRemove(tx store.Tx, x *exchange, o *orderRecord, ch *channelReport, ev Evidence) error {
	s, ans := x.s, x.ans
	u := ch.Units[o.Step.Unit.Key]
	var ru *removalUnit
	if r := s.rep.Removal; r != nil {
		for i := range r.Units {
			if r.Units[i].Key == o.Step.Unit.Key && r.Units[i].Channel == o.Channel {
				ru = &r.Units[i]
			}
		}
		if ans.Outcome != Postponed { // lists are asked after it
			wantLists(s.rep)
		}
	}
	switch ans.Outcome {
	case Done, Absent:
		if ans.Outcome == Absent {
			ev.What = "absent"
		}
		if u != nil {
			u.Removed, u.Present, u.NotRemoved = ev, "", nil
		}
		if ru != nil {
			ru.Evidence, ru.Refused, ru.Listed = ev, Reason{}, false
		}
		if u != nil {
			if err := f.profileEvents(tx, s, u.holds(), "event.profile-removed", Reason{}, ev); err != nil {
				return err
			}
		}
	case Postponed:
	default:
		if u != nil {
			u.NotRemoved = failed(u.NotRemoved, "", ans.Reason, ev, false)
			if err := f.profileEvents(tx, s, u.holds(), "event.removal-failed", ans.Reason, ev); err != nil {
				return err
			}
		}
		if ru != nil {
			ru.Refused, ru.Message = ans.Reason, ev.Message
		}
	}
	return f.updateReceipt(tx, s.rep)
}

// wantLists asks for the lists that prove a removal.
func wantLists(rep *reported) {
	for _, q := range []QueryKind{QueryProfiles, QueryCertificates} {
		rep.channel(DeviceChannel).query(q).Wanted = true
	}
}

func (f *Fleet) answerQuery(tx store.Tx, x *exchange, o *orderRecord, ch *channelReport, ev Evidence) error {
	s, ans, q := x.s, x.ans, o.Step.Query
	seen := ch.query(q)
	switch ans.Outcome {
	case Done:
	case Postponed:
		return nil
	default:
		seen.Wanted = false
		seen.Failed = failed(seen.Failed, "", ans.Reason, ev, false)
		if ans.Outcome == Malformed {
			seen.Failed.Next = ev.At.Add(24 * time.Hour)
		}
		return nil
	}
	if q == QueryProfiles && ans.Markers == nil {
		seen.Wanted = false
		seen.Failed = failed(seen.Failed, "", Why("fault.no-list"), ev, false)
		return nil
	}
	seen.At, seen.Order, seen.Failed, seen.Wanted = s.now, string(o.ID), nil, false
	told := map[FactKey]any{}
	for _, k := range f.modules[s.device.Platform].FactsOf(q, s.device) {
		if v, ok := ans.Facts[k]; ok {
			told[k] = v
		}
	}
	if len(told) > 0 {
		old := s.device.snapshot()
		if err := f.saveFacts(tx, s.device, told, ev.At); err != nil {
			return err
		}
		if old.Model != s.device.Model || old.Serial != s.device.Serial || old.OSVersion != s.device.OSVersion || old.Warning != s.device.Warning {
			// Rules may look at these: what is wanted of this device can change with them.
			if err := f.saveDevice(tx, old, s.device); err != nil {
				return err
			}
			var err error
			if s.device.State == Managed {
				if s.profiles, s.unfit, err = f.wanted(tx, s.device, s.person); err != nil {
					return err
				}
			}
			x.rows = true
		}
	}
	switch q {
	case QueryProfiles:
		x.rows = true
		ev.What = "profile-list"
		return f.readBack(tx, x, ch, ev)
	case QueryCertificates:
		ev.What = "certificate-list"
		return f.readCertificates(tx, x, ev)
	case QueryApps, QueryManagedApps:
		return f.saveApps(tx, s.device, q, ans.Apps, ev.At)
	}
	return nil
}

// readBack compares what a device says is installed with what was acknowledged: only this makes an install succeed or a removal proved, and
// it finds out what vanished by itself.
func (f *Fleet) readBack(tx store.Tx, x *exchange, ch *channelReport, ev Evidence) error {
	s := x.s
	m := f.modules[s.device.Platform]
	for key := range x.ans.Markers {
		if ch.Units[key] == nil && len(ch.Units) < unitsMost && len(key) <= 100 { // there, and not by our account: an older backup, or an enrolment repeated
			u := ch.unit(Unit{Key: key, Channel: x.c.Channel.kind(), Version: "unknown"}, &s.rep.Next)
			u.Unit = Unit{Key: key, Channel: x.c.Channel.kind(), Version: "unknown"}
			u.Postponed = 0
		}
	}
	for key, u := range ch.Units {
		marker, there := x.ans.Markers[key]
		holds := func(version string, ids []ProfileID) bool {
			unit := u.Unit
			unit.Version, unit.Profiles = version, ids
			return there && version != "" && marker == m.Marker(unit)
		}
		switch {
		case !u.Removed.None() && there: // acknowledged, and still there
			u.NotRemoved = failed(u.NotRemoved, "", Why("profile.still-there"), ev, false)
			u.Removed = Evidence{}
		case !u.Removed.None(), !there && u.Present == "" && ch.Doing != "install:"+key && s.wants(x.c.Channel, key) == nil:
			if err := f.unitGone(tx, s, u, ev); err != nil {
				return err
			}
			delete(ch.Units, key)
		case u.Present != "" && holds(u.Present, idsOf(u.Profiles)):
			if u.Confirmed.None() {
				u.Failed = nil
				if err := f.profileEvents(tx, s, u.Profiles, "event.profile-confirmed", Reason{}, ev); err != nil {
					return err
				}
				if err := f.noteLate(tx, s, u); err != nil {
					return err
				}
			}
			u.Confirmed = ev
		case u.Unit.Version != "" && holds(u.Unit.Version, u.Unit.Profiles) && s.device.State == Managed:
			// handed over, the acknowledgement was lost, and there it is
			u.Present, u.Profiles, u.Acknowledged, u.Confirmed, u.Failed = u.Unit.Version, u.Handed, ev, ev, nil
			if err := f.profileEvents(tx, s, u.Profiles, "event.profile-confirmed", Reason{}, ev); err != nil {
				return err
			}
		case u.Present != "":
			if u.Confirmed.None() {
				why := Why("profile.not-found")
				if r, told := x.ans.Missing[key]; told {
					why = r
				}
				u.Failed = failed(u.Failed, u.Present, why, ev, false)
				u.Failed.Unseen = true
			} else if err := f.profileEvents(tx, s, u.Profiles, "event.profile-vanished", Reason{}, ev); err != nil {
				return err
			}
			u.Present, u.Confirmed = "", Evidence{}
		}
	}
	if r := s.rep.Removal; r != nil {
		r.Profiles = ev
		for i := range r.Units {
			ru := &r.Units[i]
			if ru.Channel != x.c.Channel {
				continue
			}
			_, there := x.ans.Markers[ru.Key]
			ru.Listed = there
			if !there && ru.Evidence.None() {
				ru.Evidence = ev
			}
		}
		return f.updateReceipt(tx, s.rep)
	}
	return nil
}

// noteLate remembers certificates that a device fetched after it acknowledged their profile.
func (f *Fleet) noteLate(tx store.Tx, s *situation, u *unitReport) error {
	certs := map[ProfileID]int{}
	for _, h := range u.Profiles {
		if h.Type == TypeIdentity {
			certs[h.ID] = s.rep.generation(h.ID)
		}
	}
	changed, err := f.noteAccess(tx, s, certs)
	if changed {
		s.rep.channel(DeviceChannel).query(QueryCertificates).Wanted = true
	}
	return err
}

// unitGone ends the certificates of identity profiles that a device holds no more.
func (f *Fleet) unitGone(tx store.Tx, s *situation, u *unitReport, ev Evidence) error {
	for _, h := range u.holds() {
		if h.Type != TypeIdentity || slices.ContainsFunc(s.units, func(w Unit) bool { return slices.Contains(w.Profiles, h.ID) }) {
			continue
		}
		if _, err := f.pki.RevokeForProfile(tx, string(s.device.ID), string(h.ID), pki.ReasonCessationOfOperation); err != nil {
			return err
		}
		delete(s.rep.Access, h.ID)
	}
	return f.profileEvents(tx, s, u.holds(), "event.profile-gone", Reason{}, ev)
}

// readCertificates marks delivered certificates as seen, which ends the ones before them, and asks for a new one where a certificate that
// was there has vanished.
func (f *Fleet) readCertificates(tx store.Tx, x *exchange, ev Evidence) error {
	s := x.s
	listed := map[string]bool{}
	for i, fp := range x.ans.Certificates {
		if i == 1000 {
			break
		}
		listed[fp] = true
	}
	for p, a := range s.rep.Access {
		switch {
		case listed[a.Fingerprint]:
			if a.Seen.IsZero() {
				if err := f.pki.Seen(tx, a.Fingerprint, ev.At); err != nil {
					return err
				}
			}
			a.Seen = ev.At
			s.rep.Access[p] = a
		case !a.Seen.IsZero() && s.device.State == Managed && a.Generation == s.rep.generation(p):
			s.rep.reissue(p)
		}
	}
	if r := s.rep.Removal; r != nil {
		r.Certs, r.Left = ev, nil
		for _, a := range s.rep.Access {
			if listed[a.Fingerprint] {
				r.Left = append(r.Left, a.Fingerprint)
			}
		}
		slices.Sort(r.Left)
		return f.updateReceipt(tx, s.rep)
	}
	return nil
}

func (f *Fleet) answerAction(tx store.Tx, x *exchange, o *orderRecord, ev Evidence) (ended bool, err error) {
	s, ans := x.s, x.ans
	a, err := actions.Get(tx, string(o.Step.Action))
	if err != nil {
		return false, ignoreAbsent(err)
	}
	switch a.State {
	case ActionQueued, ActionSent, ActionAcknowledged:
	case ActionUnknown, ActionExpired: // the answer came late, and it is the truth
		if ans.Outcome == Done {
			return false, f.endAction(tx, a, ActionDone, Why("action.done"), ev)
		}
		return false, nil
	default:
		return false, nil
	}
	target := s.isTarget(a)
	switch ans.Outcome {
	case Postponed:
		a.State = ActionQueued
		return false, actions.Put(tx, a)
	case Done:
		if target {
			if s.rep.Removal != nil {
				s.rep.Removal.Handed = true
			}
			return true, f.end(tx, s.device, s.rep, evProved, ev, deviceActor(s.device, x.c.From))
		}
		if a.Type == ActWipe {
			s.rep.erased()
			x.rows = true
		}
		return false, f.endAction(tx, a, ActionDone, Why("action.done"), ev)
	}
	r := ans.Reason
	if ans.Outcome == Malformed {
		r = Reason{Code: "fault.malformed", DeviceWords: r.DeviceWords}
	}
	if !target {
		return false, f.endAction(tx, a, ActionFailed, r, ev)
	}
	// A wipe is repeated until it is proved: the next try comes later.
	if s.rep.Tries == nil {
		s.rep.Tries = map[ActionID]*failure{}
	}
	s.rep.Tries[a.ID] = failed(s.rep.Tries[a.ID], "", r, ev, ans.Outcome == Malformed)
	a.State, a.Reason = ActionQueued, r
	if err := actions.Put(tx, a); err != nil {
		return false, err
	}
	f.publish(tx, "action", string(a.ID))
	if rm := s.rep.Removal; rm != nil {
		rm.Handed = false
		rm.Unenrol = s.rep.Tries[a.ID]
	}
	if err := f.updateReceipt(tx, s.rep); err != nil {
		return false, err
	}
	return false, f.event(tx, s.device.ID, Reason{Code: "event.action-failed", Args: map[string]string{"action": string(a.Type)}, DeviceWords: r.DeviceWords}, ev, "")
}

func (f *Fleet) answerUnenrol(tx store.Tx, x *exchange, ev Evidence) (ended bool, err error) {
	s, ans := x.s, x.ans
	r := s.rep.Removal
	switch ans.Outcome {
	case Done, Absent:
		if s.device.State != Retiring {
			return false, nil // called off meanwhile; it cannot be, once handed over
		}
		return true, f.end(tx, s.device, s.rep, evProved, ev, deviceActor(s.device, x.c.From))
	case Postponed:
		return false, nil
	}
	if r == nil {
		return false, nil
	}
	r.Unenrol = failed(r.Unenrol, "", ans.Reason, ev, false)
	if err := f.updateReceipt(tx, s.rep); err != nil {
		return false, err
	}
	return false, f.event(tx, s.device.ID, Reason{Code: "event.unenrol-failed", DeviceWords: ans.Reason.DeviceWords}, ev, "")
}
