package fleet

import (
	"muster/pki"
	"muster/store"
)

// answerInstall notes what the device made of a unit. Nothing counts as delivered before it was read back.
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
		if _, err := f.noteAccess(tx, s, x.c.Channel, o.Certs); err != nil {
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
	u.Failed.Blames, u.Failed.Unfit = ans.Blames, ans.Unfit
	u.back()
	if err := f.frameEvent(tx, s, o.Step.Unit, "event.frame-failed", ans.Reason, ev); err != nil {
		return err
	}
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
		if b == nil || b.Revision != h.Revision {
			b = &blocked{Revision: h.Revision, Since: ev.At}
			s.rep.Blocked[h.ID] = b
		}
		b.Reason, b.Next, b.Message = ans.Reason, ev.At.Add(blockedFor), ev.Message
	}
	u.back() // the device kept what it had: its former version, or nothing
	return f.profileEvents(tx, s, list, "event.profile-blocked", ans.Reason, ev)
}

// idsOf are the ids of profile versions.
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

// holder is how the bindings of certificates name a channel: a person's by its name, the device's own, to which most belong, by nothing.
func (c Channel) holder() string {
	if c.kind() == userChannel {
		return string(c)
	}
	return ""
}

// newestAccess is the newest certificate of each of these identity profiles that was issued over a channel.
func (f *Fleet) newestAccess(tx store.Tx, s *situation, ch Channel, certs map[ProfileID]int) (map[ProfileID]*pki.Certificate, error) {
	newest := map[ProfileID]*pki.Certificate{}
	if len(certs) == 0 {
		return newest, nil
	}
	q := pki.CertificateQuery{Enrolment: string(s.device.Enrolment), Purpose: pki.Access, Limit: 200}
	for {
		page, err := f.pki.Certificates(tx, q)
		if err != nil {
			return nil, err
		}
		for _, c := range page.Items {
			p := ProfileID(c.Binding.Profile)
			if _, ok := certs[p]; !ok || c.Revoked() || c.Binding.Channel != ch.holder() {
				continue
			}
			if n := newest[p]; n == nil || c.IssuedAt.After(n.IssuedAt) {
				newest[p] = c
			}
		}
		if page.Next == "" {
			return newest, nil
		}
		q.Cursor = page.Next
	}
}

// noteAccess remembers the newest certificate of each identity profile, given with its generation, in a unit that was installed.
func (f *Fleet) noteAccess(tx store.Tx, s *situation, ch Channel, certs map[ProfileID]int) (changed bool, err error) {
	newest, err := f.newestAccess(tx, s, ch, certs)
	if err != nil {
		return false, err
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

// answerRemove notes that a unit is gone, or what the device says against it.
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
