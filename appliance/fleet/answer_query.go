package fleet

import (
	"slices"
	"time"

	"muster/store"
)

// answerQuery takes in facts and lists, as far as the register allows.
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
		} else if q == QueryDevice || q == QuerySecurity { // the others bring lists, which are not kept as facts
			told[k] = unanswered{}
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
				if s.profiles, s.unfit, err = f.wantedIn(tx, s.config, s.device, s.person); err != nil {
					return err
				}
				s.parts = nil // the platform may compose otherwise for another model or system
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
		busy, later := x.ans.Later[key]
		if u.Later = busy; later {
			continue
		}
		marker, there := x.ans.Markers[key]
		ev := ev
		if x.ans.Unread[key] {
			ev.What = "unread"
		}
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
				if err := f.frameEvent(tx, s, &u.Unit, "event.frame-confirmed", Reason{}, ev); err != nil {
					return err
				}
				if err := f.profileEvents(tx, s, u.Profiles, "event.profile-confirmed", Reason{}, ev); err != nil {
					return err
				}
				if err := f.noteLate(tx, s, x.c.Channel, u); err != nil {
					return err
				}
				if err := f.personHas(tx, s, x.c.Channel, u, ev); err != nil {
					return err
				}
			}
			u.Confirmed = ev
		case u.Unit.Version != "" && holds(u.Unit.Version, u.Unit.Profiles) && s.device.State == Managed:
			// handed over, the acknowledgement was lost, and there it is
			u.Present, u.Profiles, u.Acknowledged, u.Confirmed, u.Failed = u.Unit.Version, u.Handed, ev, ev, nil
			if err := f.noteLate(tx, s, x.c.Channel, u); err != nil {
				return err
			}
			if err := f.personHas(tx, s, x.c.Channel, u, ev); err != nil {
				return err
			}
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
	if err := f.endUnwanted(tx, s); err != nil {
		return err
	}
	for _, u := range ch.Units {
		u.Results = nil
		for _, r := range x.ans.Results {
			if u.Present != "" && slices.Contains(idsOf(u.Profiles), r.Profile) {
				r.Reason.DeviceWords = clip(r.Reason.DeviceWords, 500)
				u.Results = append(u.Results, r)
			}
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
			if _, later := x.ans.Later[ru.Key]; later {
				continue
			}
			ru.Listed = there
			if !there && ru.Evidence.None() {
				ru.Evidence = ev
			}
		}
		return f.updateReceipt(tx, s.rep)
	}
	return nil
}

// identitiesIn are the identity profiles that a unit brought, with the generations of their certificates.
func (s *situation) identitiesIn(u *unitReport) map[ProfileID]int {
	certs := map[ProfileID]int{}
	for _, h := range u.Profiles {
		if h.Type == TypeIdentity {
			certs[h.ID] = s.rep.generation(h.ID)
		}
	}
	return certs
}

// noteLate remembers certificates that a device fetched after it acknowledged their profile.
func (f *Fleet) noteLate(tx store.Tx, s *situation, ch Channel, u *unitReport) error {
	changed, err := f.noteAccess(tx, s, ch, s.identitiesIn(u))
	if changed {
		s.rep.channel(DeviceChannel).query(QueryCertificates).Wanted = true
	}
	return err
}

// personHas marks the certificates of a person's unit as seen once it was read back, which ends the ones before them: the list of certificates is of
// the device's own keychain, and does not name them. Where several people have the unit, each has a certificate of their own for one profile, and none
// ends another's.
func (f *Fleet) personHas(tx store.Tx, s *situation, ch Channel, u *unitReport, ev Evidence) error {
	if ch.kind() != userChannel {
		return nil
	}
	newest, err := f.newestAccess(tx, s, ch, s.identitiesIn(u))
	if err != nil {
		return err
	}
	for _, c := range newest {
		if err := f.pki.Seen(tx, c.Fingerprint, ev.At); err != nil {
			return err
		}
	}
	return nil
}

// unitGone ends the certificates of identity profiles that a device holds no more.
func (f *Fleet) unitGone(tx store.Tx, s *situation, u *unitReport, ev Evidence) error {
	for _, h := range u.holds() {
		if h.Type != TypeIdentity || slices.ContainsFunc(s.units, func(w Unit) bool { return slices.Contains(w.Profiles, h.ID) }) {
			continue
		}
		if err := f.endIdentity(tx, s, h.ID); err != nil {
			return err
		}
	}
	if err := f.frameEvent(tx, s, &u.Unit, "event.frame-gone", Reason{}, ev); err != nil {
		return err
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
