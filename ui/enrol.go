package ui

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"muster/appliance/fleet"
	"muster/ui/words"
)

// enrolment is what the pages behind an invitation ask of the domain.
type enrolment interface {
	OpenInvitation(ctx context.Context, code, from string) (*fleet.Opened, error)
	Accept(ctx context.Context, code string, terms fleet.TermsID, language, from, userAgent string) (*fleet.Ticket, error)
	Redeem(ctx context.Context, ticket string) (*fleet.Enrolment, *fleet.Opened, error)
	TicketProgress(ctx context.Context, ticket string) ([]fleet.Event, *fleet.Device, error)
}

func (u *UI) enrolRoutes() {
	u.open("GET /enroll/{code}", u.invitation)
	u.open("POST /enroll/{code}", u.accept)
	u.open("GET /enroll/t/{ticket}", u.install)
}

// enrolPage is the page behind an invitation, for someone who has never heard of
// device management: who asks, what will happen, what is collected and what
// never is, what the organisation can do, the terms.
type enrolPage struct {
	Opened    *fleet.Opened
	Notice    string // of something that the device records, said before anything else
	Device    string // "iphone", "mac", "pc": which words and pictures
	Personal  bool
	Kiosk     bool   // a device for one purpose, which belongs to nobody
	First     string // the person's first name; "" without a person
	Terms     string // in the page's language where there is one
	Collected []collectedPart
	Never     []string
	Powers    []string
	Leave     string // that the person may end it; "" where they may not
	Form      Form
	Elsewhere bool   // opened on another kind of device than the invited one
	New       bool   // the device is set up from its first screen, while this page is open on another one
	Step      string // code of the words for the second step
	NotSafari bool
	QR        template.HTML
	Address   string
	Return    string // the app of Windows that opened the page in its window, to be given the token; else ""
}

func deviceWord(p fleet.Platform) string {
	switch p {
	case fleet.IOS:
		return "iphone"
	case fleet.IPadOS:
		return "ipad"
	case fleet.MacOS:
		return "mac"
	case fleet.Windows:
		return "pc"
	case fleet.Android:
		return "android"
	}
	return "device"
}

func (u *UI) invitation(q *Request) error {
	opened, err := u.fleet.OpenInvitation(q.Context(), q.PathValue("code"), q.From())
	if err != nil {
		return q.enrolRefused(err)
	}
	form := Form{}
	if appru := q.URL.Query().Get("appru"); appru != "" {
		if _, err := q.returnTo(appru); err != nil {
			return q.enrolRefused(err)
		}
		if opened.Target.Platform != fleet.Windows {
			return q.enrolRefused(fleet.Refuse(fleet.ErrGone, "windows.other-platform"))
		}
		form.Values = url.Values{"appru": {appru}}
	}
	return q.showInvitation(http.StatusOK, opened, form)
}

func (q *Request) showInvitation(status int, opened *fleet.Opened, form Form) error {
	h := inHand(q.Request)
	page := enrolPage{
		Opened: opened, Device: deviceWord(opened.Target.Platform), Personal: opened.Target.Ownership == fleet.Personal, Kiosk: opened.Target.Mode == fleet.ModeKiosk,
		Terms: q.termsText(opened.Terms), Form: form, Return: form.Value("appru"), Elsewhere: !h.fits(opened.Target.Platform) && !startsNew(opened.Target), New: startsNew(opened.Target),
		NotSafari: (h.Kind == "iphone" || h.Kind == "ipad") && !h.InSafari,
	}
	page.Step = page.Device
	if opened.Target.Platform == fleet.Android {
		page.Step += "." + string(opened.Target.Mode)
	}
	if opened.Person != nil {
		page.First, _, _ = strings.Cut(strings.TrimSpace(opened.Person.Name), " ")
	}
	page.Collected = q.collectedBy(opened.Collected)
	if slices.ContainsFunc(opened.Collected, func(d fleet.FactDeclaration) bool { return d.Key == fleet.FactNetworkUse }) {
		page.Notice = q.T("enrol.network."+string(opened.Target.Mode), "org", opened.Organisation)
	}
	for _, key := range opened.Never {
		page.Never = append(page.Never, q.T(key))
	}
	for _, r := range opened.Powers {
		if r.Code == "power.leave" { // not what the organisation can do, but what the person can
			page.Leave = q.saysPower(opened.Target, r)
			continue
		}
		page.Powers = append(page.Powers, q.saysPower(opened.Target, r))
	}
	if page.Elsewhere {
		var err error
		if page.Address, page.QR, err = q.selfQR(); err != nil {
			return err
		}
	}
	return q.PageStatus(status, "people/enrol", Page{Title: q.T("enrol.title."+page.Device, "org", opened.Organisation), Org: opened.Organisation, Data: page})
}

// termsText chooses the terms in the page's language, else any that there are.
func (q *Request) termsText(t *fleet.Terms) string {
	if t == nil {
		return ""
	}
	if s := t.Text[string(q.Words.Lang())]; s != "" {
		return s
	}
	for _, l := range words.Langs() {
		if s := t.Text[string(l)]; s != "" {
			return s
		}
	}
	return ""
}

// selfQR draws this page's own public address, for opening it on another device.
func (q *Request) selfQR() (address string, qr template.HTML, err error) {
	settings, err := q.ui.fleet.Settings(q.Context())
	if err != nil {
		return "", "", err
	}
	address = strings.TrimRight(settings.URL, "/") + q.URL.Path
	qr, err = QR(address, q.T("enrol.qr"))
	return address, qr, err
}

func (u *UI) accept(q *Request) error {
	code := q.PathValue("code")
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	if form.Value("accept") == "" {
		opened, err := u.fleet.OpenInvitation(q.Context(), code, q.From())
		if err != nil {
			return q.enrolRefused(err)
		}
		form.Errors["accept"] = q.T("enrol.accept.missing")
		return q.showInvitation(http.StatusUnprocessableEntity, opened, form)
	}
	ticket, err := u.fleet.Accept(q.Context(), code, fleet.TermsID(form.Value("terms")), string(q.Words.Lang()), q.From(), q.UserAgent())
	if err != nil {
		if errors.Is(err, fleet.ErrConflict) && q.Refused(&form, err) { // the terms changed while they were read
			opened, err := u.fleet.OpenInvitation(q.Context(), code, q.From())
			if err != nil {
				return q.enrolRefused(err)
			}
			delete(form.Values, "accept")
			return q.showInvitation(http.StatusConflict, opened, form)
		}
		return q.enrolRefused(err)
	}
	if appru := form.Value("appru"); appru != "" {
		return q.handOverTo(ticket.Secret, appru)
	}
	return q.Redirect("/enroll/t/" + ticket.Secret)
}

// enrolRefused says why an invitation or ticket cannot be used, and whom to ask.
// Errors of another kind are returned as they are.
func (q *Request) enrolRefused(err error) error {
	status := 0
	switch {
	case errors.Is(err, fleet.ErrGone):
		status = http.StatusGone
	case errors.Is(err, fleet.ErrNotFound):
		status = http.StatusNotFound
	default:
		return err
	}
	text := q.T("enrol.closed.text")
	var refusal *fleet.Refusal
	if errors.As(err, &refusal) && q.Words.Has("reason."+refusal.Reason.Code) {
		text = q.Say(refusal.Reason)
	}
	data := map[string]string{"Text": text}
	if refusal != nil && refusal.Reason.Code == "invitation.used" {
		data["Yours"] = q.T("enrol.closed.yours")
	}
	settings, err := q.ui.fleet.Settings(q.Context())
	if err != nil && !errors.Is(err, fleet.ErrNotFound) {
		return err
	}
	if settings != nil {
		data["Contact"] = settings.Contact
	}
	return q.PageStatus(status, "people/enrol-closed", Page{Title: q.T("enrol.closed.title"), Slim: "slim", Data: data})
}

// installPage leads through the installation and then shows how far the device
// is.
type installPage struct {
	Device    string
	Opened    *fleet.Opened // nil once the device can be reached
	Profile   string        // address of the profile
	Windows   *windowsPart  // of a PC; nil while the page asks again, which makes no new code
	Android   *androidPart  // of an Android; likewise
	Elsewhere bool
	NotSafari bool
	QR        template.HTML
	Address   string
	Progress  progressPart
}

// progressPart is the live part of the page.
type progressPart struct {
	Device string
	State  string // "waiting", "calling", "working", "done"
	Name   string // of the device, once known
	Events []Moment
	Poll   string // address to ask again; "" when there is no more to come
}

func (u *UI) install(q *Request) error {
	ticket := q.PathValue("ticket")
	events, device, err := u.fleet.TicketProgress(q.Context(), ticket)
	if err != nil {
		return q.enrolRefused(err)
	}
	page := installPage{Device: "device", Profile: u.enrolProfile(ticket), Progress: progressPart{State: "waiting", Poll: q.URL.Path}}
	if device == nil || device.State == fleet.Enrolling {
		err := u.installSteps(q, ticket, &page)
		if err != nil && device == nil {
			return q.enrolRefused(err)
		}
	}
	if device != nil {
		page.Device, page.Progress.Name = deviceWord(device.Platform), device.Name
		switch device.State {
		case fleet.Enrolling:
			page.Progress.State = "calling"
		case fleet.Managed:
			page.Progress.State = "done"
		default:
			return q.enrolRefused(fleet.ErrGone)
		}
	}
	page.Progress.Device = page.Device
	for _, e := range events {
		page.Progress.Events = append(page.Progress.Events, Moment{Kind: Good, Icon: "check", Text: q.Say(e.Reason), At: timeElement(q.Words, e.At, q.Words.Ago, true, true)})
	}
	return q.Page("people/install", Page{Title: q.T("install.title." + page.Device), Data: page})
}

// installSteps puts the steps on the page. They stay while a device has called and could not be reached yet: when an answer was lost on the
// way it undoes the installation, and its person begins again from here.
func (u *UI) installSteps(q *Request, ticket string, page *installPage) error {
	h := inHand(q.Request)
	_, opened, err := u.fleet.Redeem(q.Context(), ticket)
	if err != nil {
		return err
	}
	if opened.Target.Platform == fleet.Windows && q.Header.Get("HX-Request") == "" {
		if page.Windows, err = q.windowsSteps(ticket); err != nil {
			return err
		}
	}
	if opened.Target.Platform == fleet.Android && q.Header.Get("HX-Request") == "" {
		if page.Android, err = q.androidSteps(ticket, opened.Target.Mode); err != nil {
			return err
		}
	}
	elsewhere := !h.fits(opened.Target.Platform) && !startsNew(opened.Target)
	if elsewhere {
		if page.Address, page.QR, err = q.selfQR(); err != nil {
			return err
		}
	}
	page.Opened, page.Device, page.Elsewhere = opened, deviceWord(opened.Target.Platform), elsewhere
	page.NotSafari = (h.Kind == "iphone" || h.Kind == "ipad") && !h.InSafari
	return nil
}

// saysPower says what can be done with a device, in the words of its kind where it is done differently there.
func (q *Request) saysPower(to fleet.Target, r fleet.Reason) string {
	if key, ok := q.firstWords("enrol."+r.Code+"."+string(to.Mode), "enrol."+r.Code+"."+string(to.Platform)); ok {
		return q.T(key)
	}
	return q.Say(r)
}
