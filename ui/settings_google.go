package ui

import (
	"context"
	"encoding/json"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"muster/appliance/fleet"
)

// googleDomain is what the page about Android asks of the domain.
type googleDomain interface {
	Google(ctx context.Context, a fleet.Actor) (*fleet.GoogleAccount, error)
	GoogleReady(ctx context.Context) (bool, error)
}

// Google speaks to Google, through which Androids are managed.
type Google interface {
	// Connect keeps a connection and tells Google where to notify; Disconnect forgets it.
	Connect(ctx context.Context, by fleet.Actor, in fleet.GoogleInput) (*fleet.GoogleAccount, error)
	Disconnect(ctx context.Context, by fleet.Actor) error

	// Check looks at each thing that has to be in order on Google's side.
	Check(ctx context.Context, by fleet.Actor) ([]fleet.GoogleCheck, error)

	// SignUp begins the organisation's sign-up and returns the page of Google's to open. At its end Google sends the browser back to an
	// address outside the pages, which leads on to the page about Android.
	SignUp(ctx context.Context, by fleet.Actor) (address string, err error)
}

func (u *UI) googleRoutes() {
	if u.google == nil {
		return
	}
	u.admin("GET /settings/android", u.android)
	u.admin("POST /settings/android", u.saveGoogle)
	u.admin("POST /settings/android/sign-up", u.googleSignUp)
	u.admin("GET /settings/android/forget", u.askForgetGoogle)
	u.admin("POST /settings/android/forget", u.forgetGoogle)
}

// androidPage is the set-up page for Android.
type androidPage struct {
	Tabs    []Tab
	Demo    bool
	Edit    bool
	Account *fleet.GoogleAccount // nil: not connected
	Status  Status
	Do      string
	Facts   []FactLine
	Own     Form
	Relay   Form
	Notices []Option
	Checked bool
	Checks  []googleCheckRow
	Trouble string // why the checks could not be made
	SignUp  template.URL
}

type googleCheckRow struct {
	Status         Status
	Title          string
	Found, Do      string
	Link, LinkWord string
	Words          string
}

func (u *UI) android(q *Request) error { return u.showAndroid(q, http.StatusOK, Form{}, Form{}, "") }

func (u *UI) showAndroid(q *Request, status int, own, relay Form, signUp template.URL) error {
	if err := q.mayReadSettings(); err != nil {
		return err
	}
	acc, err := u.fleet.Google(q.Context(), q.Actor)
	if err != nil {
		return err
	}
	page := androidPage{Tabs: q.settingsTabs("android"), Demo: u.demo, Edit: q.Actor.MayWhole(fleet.SettingsEdit), Account: acc, Own: own, Relay: relay, SignUp: signUp,
		Notices: []Option{{Value: "pubsub", Word: q.T("android.notices.pubsub"), Hint: q.T("android.notices.pubsub.hint")}, {Value: "poll", Word: q.T("android.notices.poll"), Hint: q.T("android.notices.poll.hint")}}}
	q.androidStanding(&page)
	page.fill()
	if q.FormValue("check") != "" && acc != nil && status == http.StatusOK {
		page.Checked = true
		if page.Checks, err = q.googleChecks(); err != nil {
			page.Trouble = q.refusalText(err)
			if page.Trouble == "" {
				return err
			}
		}
	}
	return q.PageStatus(status, "app/settings-android", Page{Title: q.T("settings.tab.android"), Data: page})
}

// androidStanding says how far the connection is.
func (q *Request) androidStanding(page *androidPage) {
	acc := page.Account
	step := "none"
	switch {
	case acc == nil:
	case acc.Enterprise == "":
		step = "sign-up"
	default:
		step = "ready"
	}
	page.Status = Status{Kind: map[string]Kind{"none": Mute, "sign-up": Warn, "ready": Good}[step], Word: q.T("android.now." + step)}.AsPill()
	page.Do = q.T("android.now." + step + ".do")
	if acc == nil {
		return
	}
	add := func(name, value string, mono bool) {
		if value != "" {
			page.Facts = append(page.Facts, FactLine{Name: q.T("android.fact." + name), Value: value, Mono: mono})
		}
	}
	add("way", q.T("android.way."+acc.Kind), false)
	add("project", acc.Project, true)
	add("account", acc.ClientEmail, true)
	add("relay", acc.RelayURL, true)
	add("enterprise", acc.Enterprise, true)
	notices := q.T("android.notices.poll")
	if acc.Topic != "" {
		notices = q.T("android.notices.pubsub")
	}
	add("notices", notices, false)
	add("topic", acc.Topic, true)
	add("subscription", acc.Subscription, true)
	add("connected", q.Words.DateTime(acc.Connected), false)
	add("by", acc.By, false)
}

// fill puts the kept connection into forms that were not sent yet.
func (p *androidPage) fill() {
	for kind, form := range map[string]*Form{fleet.GoogleOwn: &p.Own, fleet.GoogleRelay: &p.Relay} {
		if form.Values != nil {
			continue
		}
		form.Values = url.Values{"notices": {"pubsub"}}
		if acc := p.Account; acc != nil && acc.Kind == kind {
			form.Values = url.Values{"project": {acc.Project}, "topic": {acc.Topic}, "subscription": {acc.Subscription}, "enterprise": {acc.Enterprise}, "relay_url": {acc.RelayURL}, "notices": {"pubsub"}}
			if acc.Topic == "" {
				form.Values.Set("notices", "poll")
			}
		}
	}
}

// refusalText is the sentence of a refusal; "" for an error of another kind.
func (q *Request) refusalText(err error) string {
	var refusal *fleet.Refusal
	if !errors.As(err, &refusal) || !q.Words.Has("reason."+refusal.Reason.Code) {
		return ""
	}
	return q.Say(refusal.Reason)
}

func (q *Request) googleChecks() ([]googleCheckRow, error) {
	list, err := q.ui.google.Check(q.Context(), q.Actor)
	if err != nil {
		return nil, err
	}
	var out []googleCheckRow
	for _, c := range list {
		row := googleCheckRow{Title: c.Code, Found: q.Say(c.Reason), Link: c.Link, Words: c.Words}
		if key := "android.checked." + c.Code; q.Words.Has(key) {
			row.Title = q.T(key)
		}
		state := c.State
		kind, known := map[string]Kind{"good": Good, "bad": Bad, "warn": Warn}[state]
		if !known {
			kind, state = Mute, "unknown"
		}
		row.Status = Status{Kind: kind, Word: q.T("android.check.state." + state)}
		if c.Do.Code != "" {
			row.Do = q.Say(c.Do)
		}
		if u, err := url.Parse(c.Link); err != nil || u.Scheme != "https" {
			row.Link = ""
		} else {
			row.LinkWord = u.Host
		}
		out = append(out, row)
	}
	return out, nil
}

// saveGoogle takes a key file or a relay, and how news of devices comes.
func (u *UI) saveGoogle(q *Request) error {
	form, err := q.ReadUpload()
	if err != nil {
		return err
	}
	text := func(name string) string { return strings.TrimSpace(form.Value(name)) }
	in := fleet.GoogleInput{Kind: form.Value("kind"), RelayURL: text("relay_url"), RelaySecret: text("relay_secret"), Project: text("project"), Enterprise: text("enterprise")}
	form.Values.Del("relay_secret")
	key, err := q.Uploaded("key_file")
	if err != nil {
		return err
	}
	in.KeyFile = string(key)
	if form.Value("notices") != "poll" {
		in.Topic, in.Subscription = text("topic"), text("subscription")
		if project := u.googleProject(q, in); project != "" {
			if in.Topic == "" {
				in.Topic = "projects/" + project + "/topics/muster-android"
			}
			if in.Subscription == "" {
				in.Subscription = "projects/" + project + "/subscriptions/muster-android"
			}
		}
	}
	if _, err := u.google.Connect(q.Context(), q.Actor, in); err != nil {
		if q.Refused(&form, err) {
			if in.Kind == fleet.GoogleRelay {
				return u.showAndroid(q, http.StatusUnprocessableEntity, Form{}, form, "")
			}
			return u.showAndroid(q, http.StatusUnprocessableEntity, form, Form{}, "")
		}
		return err
	}
	q.Flash(Good, "android.saved")
	return q.Redirect("/settings/android?check=now")
}

// googleProject is the project that a form means: the one it names, the key file's, or the kept one.
func (u *UI) googleProject(q *Request, in fleet.GoogleInput) string {
	if in.Project != "" {
		return in.Project
	}
	var key struct {
		Project string `json:"project_id"`
	}
	if json.Unmarshal([]byte(in.KeyFile), &key) == nil && key.Project != "" {
		return key.Project
	}
	if acc, err := u.fleet.Google(q.Context(), q.Actor); err == nil && acc != nil {
		return acc.Project
	}
	return ""
}

// googleSignUp asks Google for the page where the organisation signs up, and shows the way there: Google wants it opened by the person, in a whole window.
func (u *UI) googleSignUp(q *Request) error {
	address, err := u.google.SignUp(q.Context(), q.Actor)
	if err != nil {
		return q.flashRefusal(err, "/settings/android")
	}
	return u.showAndroid(q, http.StatusOK, Form{}, Form{}, template.URL(address)) // Google's own, by a connection that was checked
}

func (u *UI) askForgetGoogle(q *Request) error {
	if !q.Actor.MayWhole(fleet.SettingsEdit) {
		return fleet.ErrForbidden
	}
	title := q.T("android.forget.title")
	return q.Page("app/confirm", Page{Title: title, Data: Confirm{Title: title, Points: []string{q.T("android.forget.point1"), q.T("android.forget.point2")},
		Warning: q.T("android.forget.warning"), Action: "/settings/android/forget", Word: q.T("android.forget.button"), Danger: true, Back: "/settings/android"}})
}

func (u *UI) forgetGoogle(q *Request) error {
	if err := u.google.Disconnect(q.Context(), q.Actor); err != nil {
		return q.flashRefusal(err, "/settings/android")
	}
	q.Flash(Good, "android.forgotten")
	return q.Redirect("/settings/android")
}
