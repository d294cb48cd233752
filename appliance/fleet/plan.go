package fleet

import (
	"slices"
	"strings"
	"time"
)

// situation is everything that a plan depends on. Building one reads the store; planning does not.
type situation struct {
	now      time.Time
	device   *Device
	person   *Person // nil without one
	rep      *reported
	read     []byte     // the report as it was stored
	config   *config    // of which the profiles are
	profiles []*Profile // that apply, in a stable order
	unfit    []Unfit
	units    []Unit // what is wanted, versioned; blocked profiles are left out
	parts    []part // what units were composed of
	frame    *Frame // nil where the platform does not render it
	frames   RendersFrame
	actions  []*Action // open, the oldest first
	wakes    map[Channel]*Wake
	outage   *outage // of its push service; not for what is stored, since it ends without a word to the devices
	settings *Settings
	queries  []QueryKind // that may be asked
	restored bool        // removals are held back: see held.go
	whole    bool        // ending management takes all with it
}

// difference is one thing in which a device differs from what is wanted of it, with the step that mends it.
type difference struct {
	Channel Channel // "user" when a person's channel is wanted and none can be reached
	Step    Step
	Ready   bool      // it can be handed over when the channel calls
	Why     Reason    // what it waits for
	Next    time.Time // when it is tried again by itself; zero: no time is set
}

// userChannel is the kind of a unit that goes to the person's channel.
const userChannel Channel = "user"

// postponedFor is after what time a device that said "not now" is pushed again; usually it comes back by itself (on unlocking).
const postponedFor = time.Hour

// takenFor is after what time a service that holds an order for a device is asked how it stands, when it does not say so by itself.
const takenFor = 20 * time.Minute

// takenKey marks a step among the skipped ones that a service holds.
func takenKey(s Step) string { return "taken/" + stepKey(s) }

// kind of a channel: what Unit.Channel names.
func (c Channel) kind() Channel {
	if strings.HasPrefix(string(c), "user:") {
		return userChannel
	}
	return c
}

// plan compares what is wanted of a device with what it reported. The order of the differences is the order of the steps: a removal of
// the whole device first, then actions, the identity, removals, installs and queries. It is pure: the same situation gives the same plan.
func plan(s *situation) []difference {
	switch s.device.State {
	case Wiping:
		return s.released(s.planWipe())
	case Retiring:
		return s.released(s.planRetire())
	case Managed:
		if !s.resets().IsZero() {
			return nil
		}
		return slices.Concat(s.planActions(), s.planIdentity(), s.planRemovals(), s.planInstalls(), s.planQueries())
	}
	return nil
}

// differ makes a difference; f is its last refusal, nil when there is none that counts.
func (s *situation) differ(ch Channel, step Step, f *failure) difference {
	d := difference{Channel: ch, Step: step}
	rep := s.rep.Channels[ch]
	switch {
	case ch == userChannel:
		d.Why = Why("waiting.person-login")
	case f != nil && f.Fault && f.waits(s.now):
		d.Why = Reason{Code: "fault.malformed", DeviceWords: f.Reason.DeviceWords}
	case f.waits(s.now):
		d.Why = Reason{Code: "waiting.retry", Args: map[string]string{"reason": f.Reason.Code}, DeviceWords: f.Reason.DeviceWords}
		d.Next = f.Next
	case rep != nil && slices.Contains(rep.Skipped, stepKey(step)):
		d.Why = Why("waiting.unlock")
		d.Next = s.now.Add(postponedFor)
	case rep != nil && slices.Contains(rep.Skipped, takenKey(step)):
		d.Why = Why("waiting.taken")
		d.Next = s.now.Add(takenFor)
	case rep != nil && rep.InFlight != "" && rep.Doing == stepKey(step):
		d.Ready, d.Why = true, Why("waiting.answer")
	default:
		d.Ready, d.Why = true, s.contactReason(ch)
	}
	return d
}

// contactReason says what a step that is ready waits for: the device's call, or what hinders our asking for it.
func (s *situation) contactReason(ch Channel) Reason {
	w := s.wakes[ch]
	switch {
	case w == nil:
		return Why("waiting.reach", "platform", string(s.device.Platform))
	case w.Dead && !w.Calls:
		return Why("waiting.push-dead", "platform", string(s.device.Platform))
	case s.outage != nil && w.Open && !w.Calls:
		return s.outage.Reason
	case w.Result != "" && w.Result != "accepted" && w.Why.Code != "":
		return w.Why
	}
	return Why("waiting.contact", "platform", string(s.device.Platform))
}

// planWipe hands over the wipe and nothing else.
func (s *situation) planWipe() []difference {
	for _, a := range s.actions {
		if s.isTarget(a) {
			return []difference{s.differ(DeviceChannel, Step{Kind: StepAction, Action: a.ID}, s.rep.Tries[a.ID])}
		}
	}
	return nil
}

// isTarget says whether an open action is the order behind the removal under way.
func (s *situation) isTarget(a *Action) bool {
	switch a.Type {
	case ActWipe:
		return s.device.State == Wiping && a.lifecycle()
	case ActRetire:
		return s.device.State == Retiring
	case ActDelete:
		return s.device.State.leaving()
	}
	return false
}

// planRetire removes each unit, the last delivered first (what carries the connection came early), asks for the lists that prove it, and
// ends management. No step holds up the last one: ending management takes away what the others could not.
func (s *situation) planRetire() []difference {
	var out []difference
	if s.whole {
		var unenrol *failure
		if s.rep.Removal != nil {
			unenrol = s.rep.Removal.Unenrol
		}
		return append(out, s.differ(DeviceChannel, Step{Kind: StepUnenrol}, unenrol))
	}
	for _, ch := range s.rep.channels() {
		units := s.rep.Channels[ch].held()
		slices.SortFunc(units, func(a, b *unitReport) int { return b.Seq - a.Seq })
		for _, u := range units {
			if u.stays() || s.frameUnit(&u.Unit) { // what a device was told of its frame ends with management
				continue
			}
			unit := u.Unit
			out = append(out, s.differ(ch, Step{Kind: StepRemove, Unit: &unit}, u.NotRemoved))
		}
	}
	r := s.rep.Removal
	if r == nil {
		r = &removalReport{}
	}
	rep := s.rep.Channels[DeviceChannel]
	for _, q := range []QueryKind{QueryProfiles, QueryCertificates} {
		if rep != nil && rep.Queries[q] != nil && rep.Queries[q].Wanted {
			out = append(out, s.differ(DeviceChannel, Step{Kind: StepQuery, Query: q}, nil))
		}
	}
	return append(out, s.differ(DeviceChannel, Step{Kind: StepUnenrol}, r.Unenrol))
}

// held are the units that may be on the device.
func (c *channelReport) held() []*unitReport {
	var out []*unitReport
	for _, u := range c.Units {
		if u.mayHold() {
			out = append(out, u)
		}
	}
	slices.SortFunc(out, func(a, b *unitReport) int { return a.Seq - b.Seq })
	return out
}

func (s *situation) planActions() []difference {
	var out []difference
	for _, a := range s.actions {
		if a.Type == ActSync || a.Expires != nil && !s.now.Before(*a.Expires) {
			continue
		}
		diff := s.differ(DeviceChannel, Step{Kind: StepAction, Action: a.ID}, s.rep.Tries[a.ID])
		if a.Type == ActQuery && !mayQuery(s.settings, s.device) { // switched off since
			diff.Ready, diff.Why, diff.Next = false, Why("query.off"), time.Time{}
		}
		out = append(out, diff)
	}
	return out
}

// dueFrom is when a certificate is to be renewed: some time before its end, but not before half of its life has passed.
func dueFrom(notBefore, notAfter time.Time, before time.Duration) time.Time {
	return notAfter.Add(-min(before, notAfter.Sub(notBefore)/2))
}

func (s *situation) renewBefore() time.Duration {
	if s.settings.RenewBefore > 0 {
		return time.Duration(s.settings.RenewBefore)
	}
	return 60 * 24 * time.Hour
}

func (s *situation) factsEvery() time.Duration {
	if s.settings.FactsEvery > 0 {
		return time.Duration(s.settings.FactsEvery)
	}
	return 24 * time.Hour
}

func (s *situation) planIdentity() []difference {
	id := s.rep.Identity
	if id.NotAfter.IsZero() || s.now.Before(dueFrom(id.NotBefore, id.NotAfter, s.renewBefore())) {
		return nil
	}
	return []difference{s.differ(DeviceChannel, Step{Kind: StepRenew}, s.rep.Renewal)}
}

// wants returns the wanted unit that a channel's report is about; nil when it is wanted no longer.
func (s *situation) wants(ch Channel, key string) *Unit {
	for i := range s.units {
		if u := &s.units[i]; u.Key == key && u.Channel == ch.kind() {
			return u
		}
	}
	return nil
}

func (s *situation) planRemovals() []difference {
	var out []difference
	for _, ch := range s.rep.channels() {
		for _, u := range s.rep.Channels[ch].held() {
			if s.wants(ch, u.Unit.Key) == nil {
				unit := u.Unit
				out = append(out, s.differ(ch, Step{Kind: StepRemove, Unit: &unit}, u.NotRemoved))
			}
		}
	}
	return out
}

// channelsFor lists the channels that a unit goes to; none when it is for a person's channel and no such channel was ever there.
func (s *situation) channelsFor(u *Unit) []Channel {
	if u.Channel != userChannel {
		return []Channel{DeviceChannel}
	}
	var out []Channel
	for _, ch := range s.device.Channels {
		if ch.kind() == userChannel {
			out = append(out, ch)
		}
	}
	return out
}

// installOf is the difference of one wanted unit on one channel; false when it is there.
func (s *situation) installOf(ch Channel, u *Unit) (difference, bool) {
	step := Step{Kind: StepInstall, Unit: u}
	var rep *unitReport
	if c := s.rep.Channels[ch]; c != nil {
		rep = c.Units[u.Key]
	}
	if rep == nil {
		return s.differ(ch, step, nil), true
	}
	if rep.Present == u.Version && rep.Removed.None() {
		return difference{}, false
	}
	f := rep.Failed
	if f != nil && f.Version != u.Version {
		f = nil
	}
	return s.differ(ch, step, f), true
}

func (s *situation) planInstalls() []difference {
	var out []difference
	for i := range s.units {
		u := &s.units[i]
		chs := s.channelsFor(u)
		if len(chs) == 0 {
			out = append(out, s.differ(userChannel, Step{Kind: StepInstall, Unit: u}, nil))
		}
		for _, ch := range chs {
			if d, ok := s.installOf(ch, u); ok {
				out = append(out, d)
			}
		}
	}
	return out
}

// wantsReadBack says whether a channel holds something acknowledged that the device has not yet been asked about.
func (c *channelReport) wantsReadBack() bool {
	for _, u := range c.Units {
		if u.Present != "" && u.Confirmed.None() || !u.Removed.None() {
			return true
		}
	}
	return false
}

func (s *situation) planQueries() []difference {
	var out []difference
	for _, ch := range s.rep.channels() {
		rep := s.rep.Channels[ch]
		q := rep.Queries[QueryProfiles]
		if ch != DeviceChannel && (rep.wantsReadBack() || q != nil && q.Wanted) {
			var f *failure
			if q != nil {
				f = q.Failed
			}
			out = append(out, s.differ(ch, Step{Kind: StepQuery, Query: QueryProfiles}, f))
		}
	}
	queries := s.queries
	rep := s.rep.Channels[DeviceChannel]
	if rep != nil && rep.wantsReadBack() {
		queries = append([]QueryKind{QueryProfiles}, without(queries, QueryProfiles)...)
	}
	for i, q := range queries {
		var seen *queryReport
		if rep != nil {
			seen = rep.Queries[q]
		}
		step := Step{Kind: StepQuery, Query: q}
		switch {
		case seen == nil || seen.Wanted: // asked for: an earlier failure does not hold it up
			out = append(out, s.differ(DeviceChannel, step, nil))
		case seen.At.IsZero() || !s.now.Before(seen.At.Add(s.factsEvery())) ||
			i == 0 && q == QueryProfiles && rep.wantsReadBack():
			out = append(out, s.differ(DeviceChannel, step, seen.Failed))
		}
	}
	return out
}

func without(list []QueryKind, q QueryKind) []QueryKind {
	return slices.DeleteFunc(slices.Clone(list), func(x QueryKind) bool { return x == q })
}

// first is the difference to hand over when a channel calls; nil when there is none.
func first(diffs []difference, ch Channel) *difference {
	for i := range diffs {
		if diffs[i].Channel == ch && diffs[i].Ready {
			return &diffs[i]
		}
	}
	return nil
}

// horizon is when something becomes due on a channel by itself; zero when nothing does.
func (s *situation) horizon(ch Channel, diffs []difference) time.Time {
	var next time.Time
	add := func(t time.Time) {
		if !t.IsZero() && t.After(s.now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, d := range diffs {
		if d.Channel == ch {
			add(d.Next)
		}
	}
	if s.device.State != Managed {
		return next
	}
	add(s.resets())
	for _, b := range s.rep.Blocked {
		add(b.Next)
	}
	if ch != DeviceChannel {
		return next
	}
	if id := s.rep.Identity; !id.NotAfter.IsZero() {
		add(dueFrom(id.NotBefore, id.NotAfter, s.renewBefore()))
	}
	for _, p := range s.profiles {
		if a, ok := s.rep.Access[p.ID]; ok {
			add(dueFrom(a.NotBefore, a.NotAfter, s.accessBefore(p)))
		}
	}
	if rep := s.rep.Channels[DeviceChannel]; rep != nil {
		for _, q := range s.queries {
			if seen := rep.Queries[q]; seen != nil && !seen.At.IsZero() {
				add(seen.At.Add(s.factsEvery()))
			}
		}
	}
	return next
}
