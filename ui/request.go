package ui

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"muster/appliance/fleet"
	"muster/ui/words"
)

// handler answers one request. It either writes an answer, mostly through Page
// or Redirect, and returns nil, or returns an error and writes nothing.
type handler func(q *Request) error

// Request is one request with what the pages need of it.
type Request struct {
	*http.Request
	W     http.ResponseWriter
	Words *words.Printer
	Actor fleet.Actor  // the zero Actor when nobody is signed in
	Admin *fleet.Admin // nil when nobody is signed in

	ui    *UI
	theme string
}

// Cookies. The session's name says that browsers shall hold it to our host.
const (
	sessionCookie       = "muster_session"
	sessionCookieSecure = "__Host-muster_session"
	langCookie          = "muster_lang"
	themeCookie         = "muster_theme"
	flashCookie         = "muster_flash"
)

// request reads language, theme and sign-in. Without a valid session Actor stays
// zero; only trouble other than that is an error.
func (u *UI) request(w http.ResponseWriter, r *http.Request) (*Request, error) {
	q := &Request{Request: r, W: w, ui: u}
	choice := q.cookie(langCookie)
	q.theme = q.cookie(themeCookie)
	var err error
	if secret := q.cookie(q.sessionName()); secret != "" {
		var admin *fleet.Admin
		q.Actor, admin, err = u.fleet.Authenticate(r.Context(), secret, q.From())
		if err == nil {
			q.Admin = admin
			if admin.Language != "" {
				choice = admin.Language
			}
			if admin.Theme != "" {
				q.theme = admin.Theme
			}
		} else if errors.Is(err, fleet.ErrSignIn) {
			q.Actor, err = fleet.Actor{}, nil
		}
	}
	if q.theme != "light" && q.theme != "dark" {
		q.theme = ""
	}
	w.Header().Add("Vary", "Accept-Language, Cookie")
	q.Words = u.render.Printer(words.Negotiate(choice, r.Header.Get("Accept-Language")))
	return q, err
}

// From is the address that the request came from, without its port.
func (q *Request) From() string {
	host, _, err := net.SplitHostPort(q.RemoteAddr)
	if err != nil {
		return q.RemoteAddr
	}
	return host
}

// T returns a text in the request's language; args are key, value pairs.
func (q *Request) T(key string, pairs ...any) string {
	args, err := pairArgs(pairs)
	if err != nil {
		q.ui.log.Error("text arguments", "key", key, "error", err)
	}
	return q.Words.T(key, args)
}

// Say turns a reason of the domain into a sentence.
func (q *Request) Say(r fleet.Reason) string { return say(q.Words, r) }

func say(p *words.Printer, r fleet.Reason) string {
	args := words.Args{}
	for k, v := range r.Args {
		args[k] = v
	}
	return p.Reason(r.Code, args, r.DeviceWords)
}

// Page writes a page with status 200; see PageStatus.
func (q *Request) Page(name string, p Page) error { return q.PageStatus(http.StatusOK, name, p) }

// PageStatus writes the page called name. The caller sets Title and Data, and
// what else is its own; the rest is filled in here.
func (q *Request) PageStatus(status int, name string, p Page) error {
	p.Lang, p.Theme, p.Demo = q.Words.Lang(), q.theme, q.ui.demo
	p.Path = q.URL.RequestURI()
	if q.Method != http.MethodGet && q.Method != http.MethodHead {
		p.Path = q.URL.Path
	}
	if p.Org == "" {
		settings, err := q.ui.fleet.Settings(q.Context())
		if err != nil && !errors.Is(err, fleet.ErrNotFound) {
			return err
		}
		if settings != nil {
			p.Org = settings.Organisation
		}
	}
	if q.Admin != nil {
		p.User = &User{Name: q.Admin.Name, Mail: q.Admin.Mail}
		p.Nav = q.nav()
		banner, err := q.banner()
		if err != nil {
			return err
		}
		p.Banner = append(p.Banner, banner...)
	}
	p.Flash = append(q.takeFlash(), p.Flash...)
	body, err := q.ui.render.Render(name, &p)
	if err != nil {
		return err
	}
	q.W.Header().Set("Content-Type", "text/html; charset=utf-8")
	q.W.Header().Set("Content-Language", string(p.Lang))
	q.W.WriteHeader(status)
	if q.Method != http.MethodHead {
		_, _ = q.W.Write(body) // a reader that went away is no error of ours
	}
	return nil
}

// banner shows the errors among the things that need someone, on every page.
func (q *Request) banner() ([]Message, error) {
	needs, err := q.ui.fleet.Needs(q.Context(), q.Actor)
	if err != nil {
		if errors.Is(err, fleet.ErrForbidden) {
			return nil, nil
		}
		return nil, err
	}
	var out []Message
	for _, n := range needs {
		if n.Severity != "error" || n.Link == q.URL.Path || q.URL.Path == "/" { // the overview lists them itself
			continue
		}
		m := Message{Kind: Bad, Text: q.Say(n.Reason)}
		if n.Link != "" {
			m.Link, m.Word = n.Link, q.T("ui.mend")
		}
		out = append(out, m)
	}
	return out, nil
}

// Redirect sends the browser on with a GET.
func (q *Request) Redirect(path string) error {
	http.Redirect(q.W, q.Request, path, http.StatusSeeOther)
	return nil
}

// Back is a path of ours from a form's or query's field, or fallback: never an
// address elsewhere.
func (q *Request) Back(field, fallback string) string {
	path := q.FormValue(field)
	u, err := url.Parse(path)
	if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return fallback
	}
	return path
}

// ReadForm parses the posted form.
func (q *Request) ReadForm() (Form, error) {
	if err := q.ParseForm(); err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return Form{}, errTooLarge
		}
		return Form{}, errBadForm
	}
	return Form{Values: q.PostForm, Errors: map[string]string{}}, nil
}

// ReadUpload parses a posted form that may bring files along.
func (q *Request) ReadUpload() (Form, error) {
	if err := q.ParseMultipartForm(maxForm); err != nil && !errors.Is(err, http.ErrNotMultipart) {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return Form{}, errTooLarge
		}
		return Form{}, errBadForm
	}
	form := Form{Values: q.PostForm, Errors: map[string]string{}}
	if form.Values == nil {
		form.Values = url.Values{}
	}
	return form, nil
}

// Uploaded is the content of the file in a field; nothing when none was chosen.
func (q *Request) Uploaded(field string) ([]byte, error) {
	file, _, err := q.FormFile(field)
	if err != nil {
		return nil, nil
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxForm))
	if err != nil {
		return nil, errBadForm
	}
	return raw, nil
}

// Refused puts a refusal's sentences at the form's fields. It reports false when
// err is of another kind and must be returned as it is.
func (q *Request) Refused(form *Form, err error) bool {
	var refusal *fleet.Refusal
	if !errors.As(err, &refusal) {
		return false
	}
	switch {
	case errors.Is(err, fleet.ErrInvalid), errors.Is(err, fleet.ErrConflict), errors.Is(err, fleet.ErrNotApplicable), errors.Is(err, fleet.ErrSignIn), errors.Is(err, fleet.ErrGone):
	default:
		return false
	}
	if form.Errors == nil {
		form.Errors = map[string]string{}
	}
	for field, reason := range refusal.Fields {
		form.Errors[field] = q.Say(reason)
	}
	if len(refusal.Fields) == 0 {
		form.Errors[""] = q.Say(refusal.Reason)
	}
	return true
}

func (q *Request) isTLS() bool { return q.TLS != nil || q.ui.behindTLS }

func (q *Request) sessionName() string {
	if q.isTLS() {
		return sessionCookieSecure
	}
	return sessionCookie
}

func (q *Request) cookie(name string) string {
	c, err := q.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

// setCookie sets a cookie for seconds; 0 means until the browser closes, below 0
// removes it.
func (q *Request) setCookie(name, value string, seconds int) {
	http.SetCookie(q.W, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: seconds, HttpOnly: true, Secure: q.isTLS(), SameSite: http.SameSiteLaxMode})
}

// flash is a message for the next page, kept as a key of the catalogue so that a
// cookie can never put foreign words on a page.
type flash struct {
	Kind Kind              `json:"k"`
	Key  string            `json:"t"`
	Args map[string]string `json:"a,omitempty"`
}

// Flash shows a text on the next page.
func (q *Request) Flash(kind Kind, key string, pairs ...string) {
	f := flash{Kind: kind, Key: key, Args: map[string]string{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		f.Args[pairs[i]] = pairs[i+1]
	}
	raw, err := json.Marshal(f)
	if err != nil {
		q.ui.log.Error("flash", "key", key, "error", err)
		return
	}
	q.setCookie(flashCookie, base64.RawURLEncoding.EncodeToString(raw), 60)
}

func (q *Request) takeFlash() []Message {
	value := q.cookie(flashCookie)
	if value == "" {
		return nil
	}
	q.setCookie(flashCookie, "", -1)
	raw, err := base64.RawURLEncoding.DecodeString(value)
	var f flash
	if err != nil || json.Unmarshal(raw, &f) != nil || !q.Words.Has(f.Key) {
		return nil
	}
	switch f.Kind {
	case Good, Warn, Bad, Busy:
	default:
		f.Kind = Mute
	}
	args := words.Args{}
	for k, v := range f.Args {
		args[k] = v
	}
	return []Message{{Kind: f.Kind, Text: q.Words.T(f.Key, args)}}
}
