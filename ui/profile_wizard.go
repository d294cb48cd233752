package ui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"muster/appliance/fleet"
)

// wizardDomain is what making and changing a profile asks.
type wizardDomain interface {
	Profile(ctx context.Context, a fleet.Actor, id fleet.ProfileID) (*fleet.Profile, error)
	Profiles(ctx context.Context, a fleet.Actor, q fleet.ListQuery) (fleet.List[*fleet.Profile], error)
	CheckProfile(ctx context.Context, a fleet.Actor, in fleet.ProfileInput) ([]fleet.Reason, error)
	CreateProfile(ctx context.Context, a fleet.Actor, in fleet.ProfileInput) (*fleet.Profile, error)
	UpdateProfile(ctx context.Context, a fleet.Actor, id fleet.ProfileID, in fleet.ProfileInput) (*fleet.Profile, error)
	Assign(ctx context.Context, a fleet.Actor, id fleet.ProfileID, to []fleet.Assignment, together bool) error
	Assignments(ctx context.Context, a fleet.Actor, id fleet.ProfileID) ([]fleet.Assignment, error)
	HoldSecret(a fleet.Actor, secret string) string
	PreviewAssign(ctx context.Context, a fleet.Actor, id fleet.ProfileID, in *fleet.ProfileInput, to []fleet.Assignment) (*fleet.Reach, error)
	PreviewAssignTogether(ctx context.Context, a fleet.Actor, id fleet.ProfileID, in *fleet.ProfileInput, to []fleet.Assignment) (*fleet.Reach, error)
}

func (u *UI) wizardRoutes() {
	u.admin("GET /profiles/new", func(q *Request) error { return u.startWizard(q, "new") })
	u.admin("POST /profiles/new", func(q *Request) error { return u.wizard(q, "new") })
	u.admin("GET /profiles/{id}/edit", func(q *Request) error { return u.startWizard(q, "edit") })
	u.admin("POST /profiles/{id}/edit", func(q *Request) error { return u.wizard(q, "edit") })
	u.admin("GET /profiles/{id}/assign", func(q *Request) error { return u.startWizard(q, "assign") })
	u.admin("POST /profiles/{id}/assign", func(q *Request) error { return u.wizard(q, "assign") })
}

// wizard is a form in steps. Everything typed so far travels in the form itself: nothing is kept here between steps, so that Back, reload and two
// windows at once do what one expects.
type wizard struct {
	*Request
	mode    string // "new", "edit" or "assign"
	form    Form
	profile *fleet.Profile // of edit and assign
	decl    fleet.Declaration
	steps   []string
	notes   []Message
}

// openWizard checks who asks and says which steps there are.
func (u *UI) openWizard(q *Request, mode string) (*wizard, error) {
	w := &wizard{Request: q, mode: mode}
	needs := fleet.ProfilesEdit
	if mode == "assign" {
		needs = fleet.ProfilesAssign
	}
	if !q.Actor.May(needs) {
		return nil, fleet.Refuse(fleet.ErrForbidden, "forbidden", "permission", string(needs))
	}
	switch mode {
	case "new":
		w.steps = []string{"type", "basics", "settings", "tags", "assign", "review"}
		if !q.Actor.May(fleet.ProfilesAssign) {
			w.steps = []string{"type", "basics", "settings", "tags", "review"}
		}
		return w, nil
	case "edit":
		w.steps = []string{"basics", "settings", "tags", "review"}
	default:
		w.steps = []string{"assign", "review"}
	}
	var err error
	if w.profile, err = u.fleet.Profile(q.Context(), q.Actor, fleet.ProfileID(q.PathValue("id"))); err != nil {
		return nil, err
	}
	w.decl, _ = declared(w.profile.Type)
	return w, nil
}

func (u *UI) startWizard(q *Request, mode string) error {
	w, err := u.openWizard(q, mode)
	if err != nil {
		return err
	}
	w.form = filled("together", "on")
	switch mode {
	case "new":
		w.form.Values.Set("type", q.FormValue("type"))
		w.choosePlatforms([]fleet.Platform{fleet.IOS, fleet.IPadOS, fleet.MacOS})
		if d, ok := declared(fleet.ProfileType(q.FormValue("type"))); ok {
			w.platformsFor(d)
		}
	case "edit":
		p := w.profile
		w.form.Values.Set("name", p.Name)
		w.form.Values.Set("description", p.Description)
		w.form.Values.Set("tags", tagText(p.Tags))
		w.form.Values.Set("version", strconv.Itoa(p.Version))
		w.form.Values.Set("settings-of", string(p.Type))
		for _, x := range p.Platforms {
			w.form.Values.Add("platforms", string(x))
		}
		setSettings(w.decl, w.form, p.Values())
	case "assign":
		list, err := u.fleet.Assignments(q.Context(), q.Actor, w.profile.ID)
		if err != nil {
			return err
		}
		w.putAssignments(list)
	}
	return w.show(http.StatusOK, w.steps[0])
}

// wizard takes one step's form.
func (u *UI) wizard(q *Request, mode string) error {
	w, err := u.openWizard(q, mode)
	if err != nil {
		return err
	}
	if w.form, err = q.ReadForm(); err != nil {
		return err
	}
	step, press := w.form.Value("step"), w.form.Value("go")
	if !slices.Contains(w.steps, step) {
		step = w.steps[0]
	}
	if mode == "new" {
		if err := w.settleType(); err != nil {
			return w.show(http.StatusUnprocessableEntity, "type")
		}
	}
	w.holdSecrets(w.decl, w.form)
	at := slices.Index(w.steps, step)
	if to, ok := strings.CutPrefix(press, "to."); ok && slices.Index(w.steps, to) >= 0 && slices.Index(w.steps, to) < at {
		return w.show(http.StatusOK, to)
	}
	if t, ok := strings.CutPrefix(press, "make."); ok {
		return w.makeReferred(fleet.ProfileType(t))
	}
	switch press {
	case "back":
		return w.show(http.StatusOK, w.steps[max(at-1, 0)])
	case "show":
		return w.show(http.StatusOK, step)
	}
	wrong, err := w.check(at)
	if err != nil {
		return err
	}
	if wrong != "" {
		return w.show(http.StatusUnprocessableEntity, wrong)
	}
	if step == "review" && press == "save" {
		return w.save()
	}
	return w.show(http.StatusOK, w.steps[min(at+1, len(w.steps)-1)])
}

var errNoType = errors.New("ui: no such profile type")

// settleType reads the type and gives its settings their defaults when it is chosen for the first time or anew.
func (w *wizard) settleType() error {
	d, ok := declared(fleet.ProfileType(w.form.Value("type")))
	if !ok {
		w.form.Errors["type"] = w.T("profile.type.missing")
		return errNoType
	}
	w.decl = d
	if w.form.Value("settings-of") != string(d.Type) {
		w.platformsFor(d)
		setSettings(d, w.form, w.fitting(d))
		w.form.Values.Set("settings-of", string(d.Type))
	}
	return nil
}

// platformsFor chooses all platforms of a type where it can go to none of those that are chosen: who wants a kiosk wants it on Android.
func (w *wizard) platformsFor(d fleet.Declaration) {
	can := declaredPlatforms(d)
	chosen := w.platforms()
	if len(chosen) > 0 && !slices.ContainsFunc(chosen, func(p fleet.Platform) bool { return slices.Contains(can, p) }) {
		w.choosePlatforms(can)
	}
}

func (w *wizard) choosePlatforms(list []fleet.Platform) {
	w.form.Values.Del("platforms")
	for _, p := range list {
		w.form.Values.Add("platforms", string(p))
	}
}

// fitting are values to begin with where the default is of no use on the platforms that were chosen: an app for Androids alone comes from
// Google Play.
func (w *wizard) fitting(d fleet.Declaration) fleet.Values {
	if p := w.platforms(); d.Type == fleet.TypeApp && slices.Contains(p, fleet.Android) && !slices.Contains(p, fleet.Windows) {
		return fleet.Values{"kind": fleet.AppPlay}
	}
	return fleet.Values{}
}

// platforms that were chosen, of those that the type can go to.
func (w *wizard) platforms() []fleet.Platform {
	if w.mode == "assign" {
		return w.profile.Platforms
	}
	out := []fleet.Platform{}
	for _, p := range w.form.Values["platforms"] {
		if !slices.Contains(out, fleet.Platform(p)) {
			out = append(out, fleet.Platform(p))
		}
	}
	return out
}

// input is what a save would send.
func (w *wizard) input() (fleet.ProfileInput, error) {
	raw, err := json.Marshal(settingValues(w.decl, w.form))
	if err != nil {
		return fleet.ProfileInput{}, fmt.Errorf("write settings: %w", err)
	}
	name, description, platforms := strings.TrimSpace(w.form.Value("name")), strings.TrimSpace(strings.ReplaceAll(w.form.Value("description"), "\r\n", "\n")), w.platforms()
	in := fleet.ProfileInput{Type: w.decl.Type, Name: &name, Description: &description, Platforms: &platforms, Settings: raw}
	if w.form.Values.Has("tags") {
		if tags := tagsOf(w.form.Value("tags")); len(tags) > 0 || w.mode == "edit" {
			in.Tags = &tags
		}
	}
	if w.mode == "edit" {
		in.ID = w.profile.ID
		in.Version, _ = strconv.Atoi(w.form.Value("version"))
	}
	return in, nil
}

// stepOf a field of a refusal.
func (w *wizard) stepOf(field string) string {
	switch {
	case strings.HasPrefix(field, "settings"):
		return "settings"
	case field == "tags":
		return "tags"
	case strings.HasPrefix(field, "to"):
		return "assign"
	case (field == "type" || field == "platforms") && w.mode == "new":
		return "type"
	}
	return "basics"
}

// check says which step, up to the one at this place, has something wrong; "" when none has. What is wrong with later ones is not said yet.
func (w *wizard) check(at int) (string, error) {
	if w.mode != "assign" {
		if err := w.checkProfile(); err != nil {
			return "", err
		}
		w.checkName()
		if len(w.platforms()) == 0 {
			w.form.Errors["platforms"] = w.T("profile.platforms.missing")
		}
	}
	if w.steps[at] == "assign" && w.mode == "assign" || w.steps[at] == "review" {
		if msg, err := w.checkAssignments(); err != nil {
			return "", err
		} else if msg != "" {
			w.form.Errors["to"] = msg
		}
	}
	first := len(w.steps)
	for field := range w.form.Errors {
		i := slices.Index(w.steps, w.stepOf(field))
		if field == "" {
			i = at
		}
		if i > at {
			delete(w.form.Errors, field)
			continue
		}
		first = min(first, max(i, 0))
	}
	if first == len(w.steps) {
		return "", nil
	}
	return w.steps[first], nil
}

func (w *wizard) checkProfile() error {
	in, err := w.input()
	if err != nil {
		return err
	}
	if _, err := w.ui.fleet.CheckProfile(w.Context(), w.Actor, in); err != nil && !w.Refused(&w.form, err) {
		return err
	}
	return nil
}

// checkName finds a name that is taken: the domain looks at it only when all else is right, which is late for whoever typed it first.
func (w *wizard) checkName() {
	name := strings.TrimSpace(w.form.Value("name"))
	if name == "" || w.form.Errors["name"] != "" {
		return
	}
	if p := w.profileCalled(name); p != nil && (w.profile == nil || p.ID != w.profile.ID) {
		w.form.Errors["name"] = w.Say(fleet.Why("profile.name-taken", "name", name))
	}
}

// profileCalled finds a profile by its name; nil when there is none to be seen.
func (w *wizard) profileCalled(name string) *fleet.Profile {
	list, err := w.ui.fleet.Profiles(w.Context(), w.Actor, fleet.ListQuery{Search: name, Limit: 100})
	if err != nil {
		return nil
	}
	for _, p := range list.Items {
		if strings.EqualFold(p.Name, name) {
			return p
		}
	}
	return nil
}

// assignments as the form has them.
func (w *wizard) assignments() []fleet.Assignment {
	var out []fleet.Assignment
	if w.form.Value("to.all-people") != "" {
		out = append(out, fleet.Assignment{To: fleet.ToAllPeople})
	}
	if w.form.Value("to.all-devices") != "" {
		out = append(out, fleet.Assignment{To: fleet.ToAllDevices})
	}
	var names []string
	for name := range w.form.Values {
		if strings.HasPrefix(name, "group.") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if choice := w.form.Value(name); choice == "in" || choice == "out" {
			out = append(out, fleet.Assignment{To: fleet.ToGroup, Group: fleet.GroupID(strings.TrimPrefix(name, "group.")), Exclude: choice == "out"})
		}
	}
	return out
}

// putAssignments puts assignments into the form.
func (w *wizard) putAssignments(list []fleet.Assignment) {
	for _, a := range list {
		switch {
		case a.To != fleet.ToGroup:
			w.form.Values.Set("to."+a.To, "on")
		case a.Exclude:
			w.form.Values.Set("group."+string(a.Group), "out")
		default:
			w.form.Values.Set("group."+string(a.Group), "in")
		}
	}
}

// together says whether what the profile refers to goes along (B6).
func (w *wizard) together() bool { return w.form.Value("together") != "" && len(w.chain()) > 0 }

// chain are the profiles that this one refers to, directly and through others.
func (w *wizard) chain() []*fleet.Profile {
	t, v := w.decl.Type, fleet.Values{}
	if w.mode == "assign" {
		v = w.profile.Values()
	} else {
		v = settingValues(w.decl, w.form)
	}
	return w.chainOf(t, v)
}

// chainOf follows references. One that cannot be read is passed over: the checks say so.
func (q *Request) chainOf(t fleet.ProfileType, v fleet.Values) []*fleet.Profile {
	var out []*fleet.Profile
	d, _ := declared(t)
	for _, fd := range d.Fields {
		if fd.Kind != fleet.KindProfile || v.String(fd.Key) == "" || !v.Counts(d, fd) {
			continue
		}
		p, err := q.ui.fleet.Profile(q.Context(), q.Actor, fleet.ProfileID(v.String(fd.Key)))
		if err != nil || p.Type != fd.RefType {
			continue
		}
		out = append(out, p)
		out = append(out, q.chainOf(p.Type, p.Values())...)
	}
	return out
}

// reach is whom the profile would reach; nil when the role may not see devices. Wrong settings are refused as a save would refuse them.
func (w *wizard) reach() (*fleet.Reach, error) {
	if !w.Actor.May(fleet.DevicesRead) {
		return nil, nil
	}
	preview := w.ui.fleet.PreviewAssign
	var id fleet.ProfileID
	var in *fleet.ProfileInput
	to := w.assignments()
	if w.mode != "assign" {
		made, err := w.input()
		if err != nil {
			return nil, err
		}
		in = &made
	}
	if w.profile != nil {
		id = w.profile.ID
	}
	if w.mode == "edit" {
		var err error
		if to, err = w.ui.fleet.Assignments(w.Context(), w.Actor, id); err != nil {
			return nil, err
		}
	} else if w.together() {
		preview = w.ui.fleet.PreviewAssignTogether
	}
	return preview(w.Context(), w.Actor, id, in, to)
}

// checkAssignments returns what is wrong with the assignments, in words.
func (w *wizard) checkAssignments() (string, error) {
	_, err := w.reach()
	var refusal *fleet.Refusal
	switch {
	case err == nil:
		return "", nil
	case !errors.As(err, &refusal):
		return "", err
	}
	for field, reason := range refusal.Fields {
		if w.stepOf(field) == "assign" {
			return w.Say(reason), nil
		}
	}
	if len(refusal.Fields) > 0 {
		return "", nil // of the profile itself: said at its own fields
	}
	return w.Say(refusal.Reason), nil
}

// makeReferred makes the profile that a setting refers to, with the settings that suit most, and chooses it. The root that an identity needs is
// taken from what is there, or made as well.
func (w *wizard) makeReferred(t fleet.ProfileType) error {
	i := slices.IndexFunc(w.decl.Fields, func(fd fleet.Field) bool { return fd.Kind == fleet.KindProfile && fd.RefType == t })
	if i < 0 {
		return w.show(http.StatusOK, "settings")
	}
	key := settingName(w.decl.Fields[i].Key)
	made, err := w.makeOne(t)
	if err != nil {
		var refusal *fleet.Refusal
		if !errors.As(err, &refusal) || errors.Is(err, fleet.ErrForbidden) {
			return err
		}
		w.form.Errors[key] = w.Say(refusal.Reason)
		return w.show(http.StatusUnprocessableEntity, "settings")
	}
	w.form.Values.Set(key, string(made.ID))
	w.notes = append(w.notes, Message{Kind: Good, Text: w.T("profile.made."+string(t), "name", made.Name)})
	return w.show(http.StatusOK, "settings")
}

func (w *wizard) makeOne(t fleet.ProfileType) (*fleet.Profile, error) {
	settings := fleet.Values{}
	name := w.T("profile.made.name." + string(t))
	switch t {
	case fleet.TypeTrustedRoot:
		settings["source"] = "internal"
	case fleet.TypeIdentity:
		root, err := w.ownRoot()
		if err != nil {
			return nil, err
		}
		settings["root"] = string(root.ID)
		switch w.decl.Type {
		case fleet.TypeWiFi, fleet.TypeVPN:
			settings["purpose"] = string(w.decl.Type)
		}
		if own := strings.TrimSpace(w.form.Value("name")); own != "" {
			name = w.T("profile.made.name.of", "name", own)
		}
	}
	raw, err := json.Marshal(settings)
	if err != nil {
		return nil, fmt.Errorf("write settings: %w", err)
	}
	platforms := w.platforms()
	in := fleet.ProfileInput{Type: t, Name: &name, Settings: raw, Platforms: &platforms}
	if tags := tagsOf(w.form.Value("tags")); len(tags) > 0 {
		in.Tags = &tags
	}
	first := name
	for n := 2; w.profileCalled(name) != nil && n < 100; n++ {
		name = first + " " + strconv.Itoa(n)
	}
	return w.ui.fleet.CreateProfile(w.Context(), w.Actor, in)
}

// ownRoot is a profile that delivers our own root certificate to the chosen platforms; one is made when there is none.
func (w *wizard) ownRoot() (*fleet.Profile, error) {
	list, err := w.ui.fleet.Profiles(w.Context(), w.Actor, fleet.ListQuery{Limit: 500})
	if err != nil {
		return nil, err
	}
	for _, p := range list.Items {
		if p.Type != fleet.TypeTrustedRoot || p.Values().String("source") != "internal" {
			continue
		}
		if !slices.ContainsFunc(w.platforms(), func(x fleet.Platform) bool { return !slices.Contains(p.Platforms, x) }) {
			return p, nil
		}
	}
	return w.makeOne(fleet.TypeTrustedRoot)
}

// save is the last step.
func (w *wizard) save() error {
	if w.mode == "assign" {
		if err := w.ui.fleet.Assign(w.Context(), w.Actor, w.profile.ID, w.assignments(), w.together()); err != nil {
			if w.Refused(&w.form, err) {
				w.gatherTo()
				return w.show(http.StatusConflict, "review")
			}
			return err
		}
		w.Flash(Good, "profile.assigned", "name", w.profile.Name)
		return w.Redirect("/profiles/" + string(w.profile.ID))
	}
	in, err := w.input()
	if err != nil {
		return err
	}
	var saved *fleet.Profile
	if w.mode == "edit" {
		saved, err = w.ui.fleet.UpdateProfile(w.Context(), w.Actor, w.profile.ID, in)
	} else {
		saved, err = w.ui.fleet.CreateProfile(w.Context(), w.Actor, in)
	}
	if err != nil {
		if !w.Refused(&w.form, err) {
			return err
		}
		if wrong, err := w.check(len(w.steps) - 1); err != nil {
			return err
		} else if wrong != "" {
			return w.show(http.StatusUnprocessableEntity, wrong)
		}
		return w.show(http.StatusConflict, "review")
	}
	page := "/profiles/" + string(saved.ID)
	if w.mode == "edit" {
		if saved.Revision == w.profile.Revision {
			w.Flash(Good, "profile.saved.same", "name", saved.Name)
		} else {
			w.Flash(Good, "profile.saved", "name", saved.Name, "version", strconv.Itoa(saved.Version))
		}
		return w.Redirect(page)
	}
	to := w.assignments()
	if len(to) == 0 || !w.Actor.May(fleet.ProfilesAssign) {
		w.Flash(Good, "profile.created", "name", saved.Name)
		return w.Redirect(page)
	}
	if err := w.ui.fleet.Assign(w.Context(), w.Actor, saved.ID, to, w.together()); err != nil {
		var refusal *fleet.Refusal
		if !errors.As(err, &refusal) {
			return err
		}
		w.Flash(Warn, "profile.created.not-assigned", "name", saved.Name, "why", w.Say(refusal.Reason))
		return w.Redirect(page)
	}
	w.Flash(Good, "profile.created.assigned", "name", saved.Name)
	return w.Redirect(page)
}

// gatherTo puts what is wrong with single assignments into one sentence for the form.
func (w *wizard) gatherTo() {
	for field, msg := range w.form.Errors {
		if strings.HasPrefix(field, "to.") {
			w.form.Errors["to"] = msg
		}
	}
}

// gatherUnseen says of the form as a whole what is wrong with a setting that is not shown: it belongs to platforms that were not chosen.
func (w *wizard) gatherUnseen(shown map[string]bool) {
	for field, msg := range w.form.Errors {
		if strings.HasPrefix(field, "settings") && !shown[field] && w.form.Errors[""] == "" {
			w.form.Errors[""] = msg
		}
	}
}

// carried are the fields of the form that the shown step does not have itself.
func (w *wizard) carried(shown func(name string) bool) []carriedValue {
	var names []string
	for name := range w.form.Values {
		if name != "step" && name != "go" && !shown(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var out []carriedValue
	for _, name := range names {
		for _, v := range w.form.Values[name] {
			out = append(out, carriedValue{name, v})
		}
	}
	return out
}

type carriedValue struct{ Name, Value string }
