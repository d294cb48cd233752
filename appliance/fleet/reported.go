package fleet

import (
	"errors"
	"slices"
	"time"

	"muster/store"
)

// reported is what one device has told under its present enrolment, and how far its orders are. It is small: one read beside the device
// serves a whole message.
type reported struct {
	Device      DeviceID                   `json:"device"`
	Enrolment   EnrolmentID                `json:"enrolment"`
	Identity    identityReport             `json:"identity,omitzero"`
	Renewal     *failure                   `json:"renewal,omitempty"` // tries to renew the identity
	Channels    map[Channel]*channelReport `json:"channels,omitempty"`
	Blocked     map[ProfileID]*blocked     `json:"blocked,omitempty"`     // B8
	Generations map[ProfileID]int          `json:"generations,omitempty"` // certificate generation of identity profiles; absent = 1
	Access      map[ProfileID]accessReport `json:"access,omitempty"`
	Open        []ActionID                 `json:"open,omitempty"`  // actions ordered; those that have ended meanwhile are passed over
	Tries       map[ActionID]*failure      `json:"tries,omitempty"` // of actions that are repeated until proved
	Removal     *removalReport             `json:"removal,omitempty"`
	Next        int                        `json:"next,omitempty"` // sequence of the next unit
	Reset       time.Time                  `json:"reset,omitzero"` // when it agreed to a wipe that keeps its enrolment
}

// identityReport is the management identity that was seen last.
type identityReport struct {
	Fingerprint string    `json:"fingerprint"`
	Serial      string    `json:"serial"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Generation  int       `json:"generation,omitempty"`
}

// accessReport is the newest certificate delivered for an identity profile.
type accessReport struct {
	Fingerprint string    `json:"fingerprint"`
	Serial      string    `json:"serial"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Generation  int       `json:"generation"`
	Seen        time.Time `json:"seen,omitzero"` // in the device's own list
}

// channelReport is what is known over one channel.
type channelReport struct {
	InFlight OrderID                    `json:"in_flight,omitempty"` // handed over, not answered
	Doing    string                     `json:"doing,omitempty"`     // its step
	Skipped  []string                   `json:"skipped,omitempty"`   // steps postponed by the device in this run
	Units    map[string]*unitReport     `json:"units,omitempty"`
	Queries  map[QueryKind]*queryReport `json:"queries,omitempty"`
}

// unitReport is one delivery unit on one channel.
type unitReport struct {
	Unit         Unit     `json:"unit"`             // as handed over last
	Handed       []Held   `json:"handed,omitempty"` // in the version handed over last
	Seq          int      `json:"seq"`              // order of first delivery
	Present      string   `json:"present,omitempty"`
	Profiles     []Held   `json:"profiles,omitempty"` // in the version that is present
	Acknowledged Evidence `json:"acknowledged,omitzero"`
	Confirmed    Evidence `json:"confirmed,omitzero"` // read back
	Results      []Result `json:"results,omitempty"`  // what the device says of single profiles in what is present
	Failed       *failure `json:"failed,omitempty"`
	Removed      Evidence `json:"removed,omitzero"` // removal acknowledged, to be read back
	NotRemoved   *failure `json:"not_removed,omitempty"`
	Postponed    int      `json:"postponed,omitempty"`
	NotNow       Evidence `json:"not_now,omitzero"` // the last time
	Later        Reason   `json:"later,omitzero"`   // what the device was busy with when it was read back last
}

// Held is a profile version that a device holds.
type Held struct {
	ID       ProfileID   `json:"id"`
	Type     ProfileType `json:"type"`
	Name     string      `json:"name"`
	Version  int         `json:"version"`
	Revision int         `json:"revision"`
	Stays    bool        `json:"stays,omitempty"` // is left on the device when management ends
}

// back makes what is present the last thing handed over: a version that the device refused is not on it.
func (u *unitReport) back() {
	u.Unit.Version, u.Unit.Profiles, u.Handed = u.Present, idsOf(u.Profiles), u.Profiles
}

// stays says whether all that the unit brought is left on the device when management ends.
func (u *unitReport) stays() bool {
	held := u.holds()
	return len(held) > 0 && !slices.ContainsFunc(held, func(h Held) bool { return !h.Stays })
}

// mayHold says whether something of the unit may be on the device: it was handed over and not proved gone.
func (u *unitReport) mayHold() bool { return u.Unit.Version != "" && u.Removed.None() }

// failure is what a step was last refused for, and when it is tried again.
type failure struct {
	Version string      `json:"version,omitempty"` // of the unit: another version is tried at once
	Reason  Reason      `json:"reason"`
	Blames  ProfileType `json:"blames,omitempty"`
	Tries   int         `json:"tries"`
	At      time.Time   `json:"at"`
	Next    time.Time   `json:"next"`
	Fault   bool        `json:"fault,omitempty"`  // malformed: our fault, not repeated unchanged
	Unseen  bool        `json:"unseen,omitempty"` // it was acknowledged, and reading back did not find it
	Unfit   bool        `json:"unfit,omitempty"`  // this edition or version has no such thing
	Message string      `json:"message,omitempty"`
}

// waits says whether the next try lies ahead.
func (x *failure) waits(now time.Time) bool { return x != nil && (x.Fault || now.Before(x.Next)) }

// blocked is a profile that the device refuses because an account like it exists already (B8).
type blocked struct {
	Revision int       `json:"revision"` // of the profile: another one is tried at once
	Reason   Reason    `json:"reason"`
	Since    time.Time `json:"since"`
	Next     time.Time `json:"next"`
	Message  string    `json:"message"`
}

// queryReport is the last answer to a query.
type queryReport struct {
	At     time.Time `json:"at,omitzero"` // of the last good answer
	Order  string    `json:"order,omitempty"`
	Wanted bool      `json:"wanted,omitempty"` // ask whatever the age of the last answer
	Failed *failure  `json:"failed,omitempty"`
}

// removalReport is how far a retire, wipe or delete is.
type removalReport struct {
	Receipt  ReceiptID     `json:"receipt"`
	Opened   time.Time     `json:"opened"`
	Units    []removalUnit `json:"units,omitempty"`   // what was or may have been on the device when the removal began
	Unenrol  *failure      `json:"unenrol,omitempty"` // refused
	Begun    bool          `json:"begun,omitempty"`   // something of it was handed over: it cannot be called off
	Handed   bool          `json:"handed,omitempty"`  // the last step (unenrol, wipe) was handed over
	Lost     *lostWipe     `json:"lost,omitempty"`    // the wipe got no answer
	Doubt    *time.Time    `json:"doubt,omitempty"`   // the wipe was refused then, and may have happened all the same
	Profiles Evidence      `json:"profiles,omitzero"` // profile list taken after the removals
	Certs    Evidence      `json:"certs,omitzero"`    // certificate list taken after the removals
	Left     []string      `json:"left,omitempty"`    // fingerprints of access certificates still listed
}

// removalUnit is one unit of a removal.
type removalUnit struct {
	Key      string   `json:"key"`
	Channel  Channel  `json:"channel"`
	Profiles []Held   `json:"profiles"`
	Evidence Evidence `json:"evidence,omitzero"` // acknowledged or seen to be absent
	Listed   bool     `json:"listed,omitempty"`  // still in the device's list after that
	Refused  Reason   `json:"refused,omitzero"`
	Message  string   `json:"message,omitempty"` // order that was refused
}

var reports = store.Define("rp", func(r *reported) string { return string(r.Device) })

// reportOf reads what a device reported; of an earlier enrolment nothing counts.
func reportOf(tx store.Tx, d *Device) (*reported, error) { return reportFrom(tx, d, reports.Get) }

func reportFrom(tx store.Tx, d *Device, get func(store.Tx, string) (*reported, error)) (*reported, error) {
	r, err := get(tx, string(d.ID))
	if errors.Is(err, store.ErrNotFound) {
		return &reported{Device: d.ID, Enrolment: d.Enrolment}, nil
	}
	if err != nil {
		return nil, err
	}
	if r.Enrolment != d.Enrolment {
		return &reported{Device: d.ID, Enrolment: d.Enrolment}, nil
	}
	return r, nil
}

// channel returns the report of a channel, made when absent.
func (r *reported) channel(ch Channel) *channelReport {
	if r.Channels == nil {
		r.Channels = map[Channel]*channelReport{}
	}
	if r.Channels[ch] == nil {
		r.Channels[ch] = &channelReport{}
	}
	return r.Channels[ch]
}

// channels lists those with a report, the device's first, users' in order.
func (r *reported) channels() []Channel {
	var out []Channel
	for ch := range r.Channels {
		out = append(out, ch)
	}
	slices.SortFunc(out, func(a, b Channel) int {
		switch {
		case a == b:
			return 0
		case a == DeviceChannel:
			return -1
		case b == DeviceChannel:
			return 1
		case a < b:
			return -1
		}
		return 1
	})
	return out
}

func (c *channelReport) unit(u Unit, seq *int) *unitReport {
	if c.Units == nil {
		c.Units = map[string]*unitReport{}
	}
	if c.Units[u.Key] == nil {
		c.Units[u.Key] = &unitReport{Seq: *seq}
		*seq++
	}
	return c.Units[u.Key]
}

func (c *channelReport) query(q QueryKind) *queryReport {
	if c.Queries == nil {
		c.Queries = map[QueryKind]*queryReport{}
	}
	if c.Queries[q] == nil {
		c.Queries[q] = &queryReport{}
	}
	return c.Queries[q]
}

func (c *channelReport) skip(step string) {
	if !slices.Contains(c.Skipped, step) {
		c.Skipped = append(c.Skipped, step)
	}
}

// generation of an identity profile's certificate.
func (r *reported) generation(p ProfileID) int {
	if g := r.Generations[p]; g > 0 {
		return g
	}
	return 1
}

// reissue asks for a new certificate of an identity profile.
func (r *reported) reissue(p ProfileID) {
	g := r.generation(p) + 1
	if r.Generations == nil {
		r.Generations = map[ProfileID]int{}
	}
	r.Generations[p] = g
}

// retryAfter is the back-off of a refused step: 5 minutes, 30 minutes, 2 hours, then daily.
func retryAfter(tries int) time.Duration {
	switch tries {
	case 0, 1:
		return 5 * time.Minute
	case 2:
		return 30 * time.Minute
	case 3:
		return 2 * time.Hour
	}
	return 24 * time.Hour
}

// failed notes one more refusal after old.
func failed(old *failure, version string, r Reason, ev Evidence, fault bool) *failure {
	n := &failure{Version: version, Reason: r, Tries: 1, At: ev.At, Fault: fault, Message: ev.Message}
	if old != nil && old.Version == version {
		n.Tries = old.Tries + 1
	}
	n.Next = ev.At.Add(retryAfter(n.Tries))
	return n
}
