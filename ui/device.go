package ui

import (
	"context"
	"html/template"
	"slices"
	"strings"
	"time"

	"muster/appliance/fleet"
)

// deviceDomain is what the page of one device asks of the domain.
type deviceDomain interface {
	Device(ctx context.Context, a fleet.Actor, id fleet.DeviceID) (*fleet.Device, error)
	DeviceProfiles(ctx context.Context, a fleet.Actor, id fleet.DeviceID) ([]fleet.ProfileStatus, error)
	RetryProfile(ctx context.Context, a fleet.Actor, d fleet.DeviceID, p fleet.ProfileID) error
	Timeline(ctx context.Context, a fleet.Actor, id fleet.DeviceID, q fleet.ListQuery) (fleet.List[*fleet.Event], error)
	Facts(ctx context.Context, a fleet.Actor, id fleet.DeviceID) ([]fleet.Fact, error)
	FactGaps(ctx context.Context, a fleet.Actor, id fleet.DeviceID) ([]fleet.FactGap, error)
	Apps(ctx context.Context, a fleet.Actor, id fleet.DeviceID) ([]fleet.App, error)
	UpdateDevice(ctx context.Context, a fleet.Actor, id fleet.DeviceID, in fleet.DeviceInput) (*fleet.Device, error)
}

func (u *UI) deviceRoutes() {
	u.admin("GET /devices/{id}", u.device)
	u.admin("GET /devices/{id}/timeline", u.deviceTimeline)
	u.admin("GET /devices/{id}/edit", u.deviceEdit)
	u.admin("POST /devices/{id}/edit", u.deviceSave)
	u.admin("POST /devices/{id}/profiles/{profile}/retry", u.deviceRetry)
}

// devicePage reads from top to bottom: who and what it is, whether all is well,
// what is wanted against what it has, what can be done, what happened, what is
// known.
type devicePage struct {
	Device   *fleet.Device
	Icon     string
	Status   Status
	Sub      []string
	Tags     []string
	MayEdit  bool
	Sync     bool // offered now
	Standing standingView
	Profiles []heldProfile
	NotFor   []FactLine // profiles that do not apply to it, and why
	Open     []orderView
	Past     []orderView
	MorePast string
	Offered  []choiceView
	Refused  []choiceView
	About    []FactLine
	Certs    []certRow
	Receipts []receiptRow
	Timeline []Moment
	Earlier  string // address of the whole timeline; "" when it is all here
	Facts    []factGroup
	Apps     []fleet.App
	Gaps     []FactLine // facts that such a device cannot give, and why
	Never    []string
	Kept     []string // facts that are not taken because the device is personal
	Topics   string   // of its live parts
}

// standingView is one sentence about a device, with the one thing to do.
type standingView struct {
	Kind          Kind
	Icon          string
	Title, Text   string
	Last          time.Time
	Nudged, Next  *time.Time
	Link, Word    string          // a page to mend it on
	Retry         fleet.ProfileID // offered to try again
	RetryWord     string
	AwaitsContact bool // the times of nudges are of interest
}

// heldProfile is one profile on a device.
type heldProfile struct {
	fleet.ProfileStatus
	TypeWord string
	Href     string
	State    Status
	Why      string
	Words    string // the device's own, beside the evidence: the reason says the same to people
	Evidence []evidenceView
	Retry    bool
}

const (
	timelineFirst = 12
	pastOrders    = 6
)

func (u *UI) device(q *Request) error {
	ctx, id := q.Context(), fleet.DeviceID(q.PathValue("id"))
	d, err := u.fleet.Device(ctx, q.Actor, id)
	if err != nil {
		return err
	}
	page := &devicePage{Device: d, Icon: platformIcon(d.Platform), Status: q.deviceStateStatus(d.State).AsPill(), MayEdit: q.Actor.May(fleet.DevicesEdit), Topics: "device:" + string(id)}
	if d.Stolen {
		page.Status = Status{Kind: Bad, Icon: "ban", Word: q.T("devices.stolen.word", "state", page.Status.Word), Pill: true}
	}
	if d.Hidden {
		page.Status.Word = q.T("devices.deleted.word", "state", page.Status.Word)
	}
	for _, t := range d.Tags {
		page.Tags = append(page.Tags, string(t))
	}
	profiles, err := u.fleet.DeviceProfiles(ctx, q.Actor, id)
	if err != nil {
		return err
	}
	for _, part := range []func(*devicePage, []fleet.ProfileStatus) error{q.deviceAbout, q.deviceStanding, q.deviceProfiles, q.deviceOrders, q.deviceCertificates, q.deviceReceipts, q.deviceKnown} {
		if err := part(page, profiles); err != nil {
			return err
		}
	}
	events, err := u.fleet.Timeline(ctx, q.Actor, id, fleet.ListQuery{Limit: timelineFirst})
	if err != nil {
		return err
	}
	page.Timeline = q.moments(events.Items)
	if events.Next != "" {
		page.Earlier = "/devices/" + string(id) + "/timeline"
	}
	return q.Page("app/device", Page{Title: d.Name, Live: true, Data: page})
}

// deviceAbout says who and what the device is.
func (q *Request) deviceAbout(page *devicePage, _ []fleet.ProfileStatus) error {
	d := page.Device
	name, err := q.personName(d.Person)
	if err != nil {
		return err
	}
	model := d.Model
	if model == "" {
		model = q.word("platform", string(d.Platform))
	}
	for _, s := range []string{name, model, systemWord(d.Platform, d.OSVersion), q.word("ownership", string(d.Ownership))} {
		if s != "" {
			page.Sub = append(page.Sub, s)
		}
	}
	add := func(key string, value any, mono bool) {
		page.About = append(page.About, FactLine{Name: q.T("device.about." + key), Value: value, Mono: mono})
	}
	switch {
	case name != "":
		add("person", template.HTML(`<a href="/people/`+template.HTMLEscapeString(string(d.Person))+`">`+template.HTMLEscapeString(name)+`</a>`), false)
	case d.Person == "":
		add("person", q.T("device.about.person.none"), false)
	}
	add("ownership", q.word("ownership", string(d.Ownership)), false)
	if d.Platform == fleet.Android {
		add("mode", template.HTML(template.HTMLEscapeString(q.word("mode", string(d.Mode)))+` · <a href="/help/android">`+template.HTMLEscapeString(q.T("device.about.mode.means"))+`</a>`), false)
	}
	add("model", model, false)
	add("system", systemWord(d.Platform, d.OSVersion), false)
	if d.Serial != "" {
		add("serial", d.Serial, true)
	}
	add("enrolled", timeElement(q.Words, d.Enrolled, q.Words.Ago, true, true), false)
	add("seen", timeElement(q.Words, d.LastSeen, q.Words.Ago, true, true), false)
	if d.LastFrom != "" && d.Ownership == fleet.Corporate {
		add("from", d.LastFrom, true)
	}
	if len(page.Tags) > 0 {
		add("tags", strings.Join(page.Tags, ", "), false)
	}
	return nil
}

func (q *Request) deviceStanding(page *devicePage, profiles []fleet.ProfileStatus) error {
	s, err := q.ui.fleet.Standing(q.Context(), q.Actor, page.Device.ID)
	if err != nil {
		return err
	}
	page.Standing = q.standingView(page.Device, s, profiles)
	return nil
}

// standingView turns a standing into words. With the device's profiles it can
// say more of the one that is in trouble.
func (q *Request) standingView(d *fleet.Device, s *fleet.Standing, profiles []fleet.ProfileStatus) standingView {
	code := s.Reason.Code
	v := standingView{Kind: Warn, Last: s.Last, Nudged: s.Nudged, Next: s.NextTry, Text: q.Say(s.Reason)}
	if d.Platform == fleet.Windows && s.Nudged == nil {
		v.Next = nil // no push goes out to it: it calls by itself
	}
	switch {
	case code == "well":
		v.Kind, v.Title, v.Text, v.Next = Good, q.T("standing.well"), q.T("standing.text.well"), nil
	case code == "standing.profile":
		q.standingProfile(&v, d, s, profiles)
	case strings.HasPrefix(code, "standing."):
		status := q.deviceStateStatus(d.State)
		v.Kind, v.Icon, v.Title = status.Kind, status.Icon, status.Word
		if key := "standing.text." + string(d.State); q.Words.Has(key) {
			v.Text = q.T(key) // the heading says the state already
		}
		v.AwaitsContact = d.State == fleet.Enrolling || d.State == fleet.Retiring || d.State == fleet.Wiping
		if waiting := s.Reason.Args["waiting"]; waiting != "" && !strings.HasPrefix(waiting, "apple.not") {
			why := fleet.Why(waiting, "platform", string(d.Platform))
			if text := q.Say(why); !strings.Contains(text, "{") && q.Words.Has("reason."+waiting) {
				v.Text += " " + text
			}
		}
	case code == "device.serial-twice":
		v.Title = q.T("standing.twins")
		if other := s.Reason.Args["other"]; other != "" {
			v.Link, v.Word = "/devices/"+other, q.T("standing.twins.do", "name", s.Reason.Args["name"])
		}
	case code == "waiting.push-dead", code == "push.none", strings.Contains(code, ".push."):
		v.Title = q.T("standing.unreachable")
		if code != "waiting.push-dead" && q.Actor.May(fleet.SettingsRead) && (code == "push.none" || strings.Contains(code, "certificate") || strings.Contains(code, "topic")) {
			v.Link, v.Word = "/settings/apple", q.T("overview.do.need.push-missing")
		}
	default:
		v.Kind, v.Title, v.AwaitsContact = Busy, q.T("standing.waiting"), true
		if steps := s.Reason.Args["steps"]; steps != "" {
			v.Title = q.T("standing.steps", "count", steps)
		}
	}
	if v.Icon == "" {
		v.Icon = v.Kind.Icon()
	}
	return v
}

// standingProfile says what is the matter with the profile that a standing
// speaks of.
func (q *Request) standingProfile(v *standingView, d *fleet.Device, s *fleet.Standing, profiles []fleet.ProfileStatus) {
	status, name := fleet.ProfileStatusCode(s.Reason.Args["status"]), s.Reason.Args["profile"]
	look := q.deliveryStatus(status)
	v.Kind, v.Icon, v.Title = look.Kind, look.Icon, look.Word
	reason := fleet.Reason{Code: s.Reason.Args["reason"], Args: map[string]string{"platform": string(d.Platform)}, DeviceWords: s.Reason.DeviceWords}
	for _, p := range profiles {
		if p.Status == status && p.Name == name {
			reason = p.Reason
			v.Title = q.T("standing.profile", "profile", name, "status", string(status))
			v.Next = p.NextTry
			if q.mayRetry(p) {
				v.Retry, v.RetryWord = p.Profile, q.T("device.retry")
			}
		}
	}
	if d.Platform == fleet.Android {
		reason.DeviceWords = "" // names from Google's interface, for the table below: here they would only frighten
	}
	text := ""
	if q.Words.Has("reason." + reason.Code) {
		text = q.Say(reason)
	}
	if text == "" || strings.Contains(text, "{") {
		text = q.Say(s.Reason)
	}
	v.Text = text
	if profiles == nil { // for a list: short, without the device's own words
		reason.DeviceWords = ""
		if short := q.Say(reason); q.Words.Has("reason."+reason.Code) && !strings.Contains(short, "{") {
			text = short
		}
		v.Text = q.T("standing.profile.short", "profile", name, "text", text)
	}
}

// mayRetry says whether trying a profile again makes sense: it failed, waits for
// a person, or is tried only later.
func (q *Request) mayRetry(p fleet.ProfileStatus) bool {
	if !q.Actor.May(fleet.DevicesLock) {
		return false
	}
	switch p.Status {
	case fleet.StatusError:
		return p.NextTry != nil || p.Reason.Code == "fault.malformed"
	case fleet.StatusWaitsPerson:
		return p.Reason.Code != "waiting.person-login"
	case fleet.StatusPending:
		return p.NextTry != nil && p.Reason.Code != "waiting.unit"
	}
	return false
}

func (q *Request) deviceProfiles(page *devicePage, profiles []fleet.ProfileStatus) error {
	for _, p := range profiles {
		if p.Status == fleet.StatusNotApplicable {
			page.NotFor = append(page.NotFor, FactLine{Name: p.Name, Value: q.Say(p.Reason)})
			continue
		}
		words := ""
		if p.Reason.Code != "" && p.Status != fleet.StatusError {
			words, p.Reason.DeviceWords = p.Reason.DeviceWords, ""
		}
		r := heldProfile{Words: words, ProfileStatus: p, TypeWord: q.word("type", string(p.Type)), State: q.deliveryStatus(p.Status), Why: q.Say(p.Reason), Evidence: q.evidence(p.Evidence), Retry: q.mayRetry(p)}
		if q.Actor.May(fleet.ProfilesRead) {
			r.Href = "/profiles/" + string(p.Profile)
		}
		page.Profiles = append(page.Profiles, r)
	}
	slices.SortStableFunc(page.Profiles, func(a, b heldProfile) int { return deliveryRank(a.Status) - deliveryRank(b.Status) })
	return nil
}

// deliveryRank puts what needs someone first, then what is under way, then what is well.
func deliveryRank(s fleet.ProfileStatusCode) int {
	switch s {
	case fleet.StatusError, fleet.StatusConflict, fleet.StatusWaitsPerson:
		return 0
	case fleet.StatusPending, fleet.StatusRemoving:
		return 1
	}
	return 2
}

func (u *UI) deviceRetry(q *Request) error {
	id := fleet.DeviceID(q.PathValue("id"))
	back := "/devices/" + string(id)
	if err := u.fleet.RetryProfile(q.Context(), q.Actor, id, fleet.ProfileID(q.PathValue("profile"))); err != nil {
		return q.flashRefusal(err, back)
	}
	q.Flash(Good, "device.retry.done")
	return q.Redirect(back)
}

// deviceTimeline is the whole timeline, page by page.
func (u *UI) deviceTimeline(q *Request) error {
	id := fleet.DeviceID(q.PathValue("id"))
	d, err := u.fleet.Device(q.Context(), q.Actor, id)
	if err != nil {
		return err
	}
	events, err := u.fleet.Timeline(q.Context(), q.Actor, id, fleet.ListQuery{Limit: 100, Cursor: q.URL.Query().Get("cursor")})
	if err != nil {
		return err
	}
	l := listQuery{q.URL.Path, q.URL.Query()}
	data := struct {
		Head   Head
		Events []Moment
		Pager  Pager
		Live   string
	}{
		Head:   Head{Title: q.T("device.timeline"), Sub: d.Name, Back: "/devices/" + string(id), BackWord: d.Name},
		Events: q.moments(events.Items),
		Pager:  Pager{Text: q.Words.N("device.timeline.shown", len(events.Items), nil)},
		Live:   "device:" + string(id),
	}
	if l.values.Get("cursor") != "" {
		data.Pager.First = l.path
	}
	if events.Next != "" {
		data.Pager.Next = l.with("cursor", events.Next)
	}
	return q.Page("app/device-timeline", Page{Title: data.Head.Title + " – " + d.Name, Live: true, Data: data})
}

// moments turns events into lines.
func (q *Request) moments(events []*fleet.Event) []Moment {
	var out []Moment
	for _, e := range events {
		m := Moment{Text: q.Say(e.Reason), At: timeElement(q.Words, e.At, q.Words.Ago, true, true)}
		m.Kind, m.Icon = eventLook(e.Reason.Code)
		if e.Actor != "" {
			m.Who = q.T("device.by", "name", e.Actor)
		} else if ev := q.evidence(e.Evidence); len(ev) > 0 {
			m.Who = ev[0].What
		}
		out = append(out, m)
	}
	return out
}

// eventLook is the sign of a line in the timeline.
func eventLook(code string) (Kind, string) {
	what := strings.TrimPrefix(code, "event.")
	ends := func(list ...string) bool { return slices.Contains(list, what) }
	switch {
	case ends("profile-confirmed", "action-done", "reached", "identity-renewed"):
		return Good, "check"
	case ends("profile-failed", "action-failed", "renewal-failed", "unenrol-failed", "removal-failed", "stolen-enrolment"):
		return Bad, "close"
	case ends("profile-blocked", "profile-vanished", "action-unknown", "serial-twice", "push-lost", "action-expired"):
		return Warn, "warning"
	case ends("action-ordered"):
		return Busy, "person"
	case ends("action-sent", "action-acknowledged", "profile-delivered"):
		return Busy, "arrow"
	case ends("profile-removed", "profile-gone"):
		return Mute, "trash"
	case ends("enrol", "re-enrol", "enrol-again"):
		return Good, "plus"
	case ends("receipt"):
		return Mute, "receipt"
	case ends("action-cancelled", "action-overtaken"):
		return Mute, "ban"
	}
	return Mute, "info"
}
