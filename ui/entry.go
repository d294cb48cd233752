package ui

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"muster/appliance/fleet"
	"muster/ui/words"
)

// entry is what set-up and sign-in ask of the domain.
type entry interface {
	SetupState(ctx context.Context) (fleet.SetupState, error)
	Setup(ctx context.Context, token, from string, in fleet.SetupInput) (*fleet.Admin, error)
	SignIn(ctx context.Context, mail, password, from, userAgent string) (*fleet.SignInResult, error)
	SignInCode(ctx context.Context, pending, code, from, userAgent string) (*fleet.SignInResult, error)
	SignOut(ctx context.Context, secret string) error
}

func (u *UI) entryRoutes() {
	u.open("GET /setup", u.setupForm)
	u.open("POST /setup", u.setup)
	u.open("GET /signin", u.signInForm)
	u.open("POST /signin", u.signIn)
	u.open("POST /signin/code", u.signInCode)
	u.open("POST /signout", u.signOut)
}

// setupPage is the form of the first run. The code of the one-time link stands
// in the address's fragment, which never reaches a server; the script moves it
// into the form, and without scripts it is typed or pasted.
type setupPage struct {
	Form      Form
	Languages []Option
	Locked    map[string]bool // settings given when the server was started
}

func (q *Request) showSetup(status int, form Form) error {
	page := setupPage{Form: form, Locked: map[string]bool{}}
	settings, err := q.ui.fleet.Settings(q.Context())
	if err != nil && !errors.Is(err, fleet.ErrNotFound) {
		return err
	}
	if settings != nil {
		values := map[string]string{"organisation": settings.Organisation, "contact": settings.Contact, "language": settings.Language, "url": settings.URL}
		for _, name := range settings.Locked {
			page.Locked[name] = true
			if v, ok := values[name]; ok {
				form.Values.Set(name, v)
			}
		}
	}
	for _, l := range words.Langs() {
		page.Languages = append(page.Languages, Option{Value: string(l), Word: q.T("lang." + string(l))})
	}
	return q.PageStatus(status, "people/setup", Page{Title: q.T("setup.title"), Data: page})
}

func (u *UI) setupForm(q *Request) error {
	state, err := u.fleet.SetupState(q.Context())
	if err != nil {
		return err
	}
	if state.Done {
		return q.Redirect("/signin")
	}
	scheme := "http"
	if q.isTLS() {
		scheme = "https"
	}
	return q.showSetup(http.StatusOK, Form{Values: url.Values{
		"url":      {scheme + "://" + q.Host},
		"language": {string(q.Words.Lang())},
	}})
}

func (u *UI) setup(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	if form.Value("password") != form.Value("again") {
		form.Errors["again"] = q.T("setup.again.differs")
		return q.showSetup(http.StatusUnprocessableEntity, form)
	}
	text := func(name string) string { return strings.TrimSpace(form.Value(name)) }
	_, err = u.fleet.Setup(q.Context(), text("token"), q.From(), fleet.SetupInput{
		Organisation: text("organisation"), Contact: text("contact"), Language: text("language"),
		AdminName: text("admin_name"), AdminMail: text("admin_mail"), Password: form.Value("password"),
		URL: strings.TrimRight(text("url"), "/"), RecoveryNext: true,
	})
	if err != nil {
		var refusal *fleet.Refusal
		switch {
		case errors.As(err, &refusal) && (errors.Is(err, fleet.ErrNotFound) || errors.Is(err, fleet.ErrGone)): // the code
			form.Errors["token"] = q.Say(refusal.Reason)
		case q.Refused(&form, err):
		default:
			return err
		}
		return q.showSetup(http.StatusUnprocessableEntity, form)
	}
	q.Flash(Good, "setup.done")
	return q.Redirect("/signin")
}

func (q *Request) showSignIn(status int, form Form) error {
	return q.PageStatus(status, "people/signin", Page{Title: q.T("signin.title"), Slim: "slim", Data: form})
}

func (u *UI) signInForm(q *Request) error {
	if q.Admin != nil {
		return q.Redirect(q.Back("to", "/"))
	}
	state, err := u.fleet.SetupState(q.Context())
	if err != nil {
		return err
	}
	if !state.Done {
		return q.Redirect("/setup")
	}
	return q.showSignIn(http.StatusOK, Form{Values: url.Values{"to": {q.Back("to", "/")}}})
}

func (u *UI) signIn(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	form.Values.Set("to", q.Back("to", "/"))
	result, err := u.fleet.SignIn(q.Context(), strings.TrimSpace(form.Value("mail")), form.Value("password"), q.From(), q.UserAgent())
	if err != nil {
		if q.refusedSignIn(&form, err) {
			return q.showSignIn(http.StatusUnprocessableEntity, form)
		}
		return err
	}
	return u.signedIn(q, form, result)
}

// refusedSignIn puts the sentence of a refused sign-in above the form.
func (q *Request) refusedSignIn(form *Form, err error) bool {
	if q.Refused(form, err) {
		return true
	}
	if errors.Is(err, fleet.ErrSignIn) { // without a reason: says no more on purpose
		form.Errors[""] = q.T("signin.refused")
		return true
	}
	return false
}

// codePage asks for the second factor. With a Secret it is being set up.
type codePage struct {
	Form     Form
	Pending  string
	TOTPURL  string
	QR       template.HTML
	Secret   string // in groups of four, for typing
	LinkHere string // the otpauth link itself, for an app on this device
}

// showCode asks for a code: of the app that is already set up, or, with a TOTP
// address, of the one that is being set up.
func (q *Request) showCode(status int, form Form, pending, totpURL string) error {
	page := codePage{Form: form, Pending: pending, TOTPURL: totpURL}
	title := q.T("signin.code.title")
	if totpURL != "" {
		address, err := url.Parse(totpURL)
		if err != nil || address.Scheme != "otpauth" {
			return errBadForm
		}
		if page.QR, err = QR(totpURL, q.T("signin.totp.qr")); err != nil {
			return errBadForm
		}
		page.Secret = inFours(address.Query().Get("secret"))
		title = q.T("signin.totp.title")
	}
	form.Values.Del("code") // a code works once
	return q.PageStatus(status, "people/signin-code", Page{Title: title, Slim: "slim", Data: page})
}

func inFours(s string) string {
	var b strings.Builder
	for i, r := range s {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func (u *UI) signInCode(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	code, at := strings.NewReplacer(" ", "", "-", "").Replace(form.Value("code")), "code"
	if recovery := strings.TrimSpace(form.Value("recovery")); recovery != "" {
		code, at = recovery, "recovery"
	}
	result, err := u.fleet.SignInCode(q.Context(), form.Value("pending"), code, q.From(), q.UserAgent())
	if err != nil {
		var refusal *fleet.Refusal
		over := errors.As(err, &refusal) && refusal.Reason.Code == "sign-in.expired"
		if over || errors.Is(err, fleet.ErrGone) || errors.Is(err, fleet.ErrNotFound) {
			q.Flash(Warn, "signin.again")
			return q.Redirect("/signin")
		}
		if q.refusedSignIn(&form, err) {
			if form.Errors[at] == "" {
				form.Errors[at] = form.Errors[""]
			}
			delete(form.Errors, "")
			return q.showCode(http.StatusUnprocessableEntity, form, form.Value("pending"), form.Value("totp_url"))
		}
		return err
	}
	return u.signedIn(q, form, result)
}

// signedIn goes on after a step of the sign-in.
func (u *UI) signedIn(q *Request, form Form, result *fleet.SignInResult) error {
	if result.Session == "" {
		return q.showCode(http.StatusOK, form, result.Pending, result.TOTPURL)
	}
	q.setCookie(q.sessionName(), result.Session, 0)
	to := q.Back("to", "/")
	if len(result.Codes) == 0 {
		return q.Redirect(to)
	}
	if to == "/" && u.lacksRecoveryKey(q, result.Session) {
		to = "/settings/backup/key"
	}
	return q.Page("people/recovery", Page{Title: q.T("signin.recovery.title"), Slim: "slim", Data: map[string]any{"Codes": result.Codes, "To": to}})
}

// lacksRecoveryKey says whether whoever has signed in may make the recovery key of backups, and none was made yet: it is the last step of set-up.
func (u *UI) lacksRecoveryKey(q *Request, session string) bool {
	actor, _, err := u.fleet.Authenticate(q.Context(), session, q.From())
	if err != nil {
		return false
	}
	r, err := u.fleet.Recovery(q.Context(), actor)
	return err == nil && r.Name == ""
}

// SetSession gives the browser a session that was opened elsewhere (the demo's link), as signing in here would have.
func (u *UI) SetSession(w http.ResponseWriter, r *http.Request, session string) {
	q := &Request{Request: r, W: w, ui: u}
	q.setCookie(q.sessionName(), session, 0)
}

func (u *UI) signOut(q *Request) error {
	if secret := q.cookie(q.sessionName()); secret != "" {
		if err := u.fleet.SignOut(q.Context(), secret); err != nil && !errors.Is(err, fleet.ErrSignIn) && !errors.Is(err, fleet.ErrNotFound) {
			return err
		}
		q.setCookie(q.sessionName(), "", -1)
	}
	q.Flash(Good, "signin.out.done")
	return q.Redirect("/signin")
}
