package windows

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

// Paths of the sign-in that Windows shows in a browser of its own.
const (
	SignInPath     = "/EnrollmentServer/Auth"
	HandOverPath   = "/EnrollmentServer/HandOver/" // and the ticket; query: appru
	handOverScript = "/EnrollmentServer/hand-over.js"
)

// handOverPolicy is the one exception to our content policy: the form goes to the app that opened the browser.
const handOverPolicy = "default-src 'none'; script-src 'self'; base-uri 'none'; frame-ancestors 'self'; form-action ms-app:"

// HandOver is the address that the sign-in page sends the browser to when an invitation was accepted: it gives Windows its token.
func HandOver(ticket, appru string) string {
	return HandOverPath + url.PathEscape(ticket) + "?" + url.Values{"appru": {appru}}.Encode()
}

// ValidReturn says whether an address may be given a token: that of the app which opened the browser, which Settings and the first start of
// Windows both name by ms-app. An address of the web is none: whoever sends a link with theirs would be given the token that a person's
// acceptance makes, and enrol a PC of their own as that person.
func ValidReturn(appru string) bool {
	if appru == "" || len(appru) > 1000 || strings.ContainsAny(appru, "\"'<>\\ \t\r\n") {
		return false
	}
	u, err := url.Parse(appru)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	return u.Scheme == "ms-app"
}

// signInStart is where discovery sends the browser; it leads to the sign-in page, which belongs to ui.
func (w *Windows) signInStart(rw http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	appru := q.Get("appru")
	if w.signIn == "" || !ValidReturn(appru) {
		http.Error(rw, w.say(r, "handover.no-return"), http.StatusBadRequest)
		return
	}
	to := url.Values{"appru": {appru}}
	if hint := q.Get("login_hint"); hint != "" && len(hint) <= 200 {
		to.Set("login_hint", hint)
	}
	rw.Header().Set("Cache-Control", "no-store")
	http.Redirect(rw, r, w.signIn+"?"+to.Encode(), http.StatusSeeOther)
}

var handOverPage = template.Must(template.New("hand-over").Parse(`<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>{{.Title}}</title></head>
<body><form method="post" action="{{.Return}}">
<input type="hidden" name="wresult" value="{{.Token}}">
<noscript><input type="submit" value="{{.Continue}}"></noscript>
</form><script src="` + handOverScript + `"></script></body></html>
`))

// handOver gives the browser of Windows the form that carries the token to the app (MS-MDE2 3.2.4.1). The ticket proves that the invitation
// was accepted.
func (w *Windows) handOver(rw http.ResponseWriter, r *http.Request) {
	h := rw.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	appru := r.URL.Query().Get("appru")
	if !ValidReturn(appru) {
		http.Error(rw, w.say(r, "handover.no-return"), http.StatusBadRequest)
		return
	}
	token, err := w.newToken(r.Context(), r.PathValue("ticket"))
	if err != nil {
		f := faultOf(err)
		w.log.Warn("hand-over refused", "from", sourceOf(r), "err", err)
		status := http.StatusGone
		if f.sub == "a:InternalServiceFault" {
			status = http.StatusInternalServerError
		}
		http.Error(rw, w.say(r, "reason."+f.code()), status)
		return
	}
	h.Set("Content-Security-Policy", handOverPolicy)
	h.Set("Content-Type", "text/html; charset=utf-8")
	err = handOverPage.Execute(rw, struct {
		Title, Continue, Token string
		Return                 template.URL
	}{w.say(r, "handover.title"), w.say(r, "handover.continue"), token, template.URL(appru)}) // checked by ValidReturn
	if err != nil {
		w.log.Debug("hand-over page cut off", "err", err)
	}
}

// code is the reason of a fault, for words.
func (f *fault) code() string {
	if f.reason.Code != "" {
		return f.reason.Code
	}
	return codeInternal
}

func (w *Windows) script(rw http.ResponseWriter, _ *http.Request) {
	rw.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	rw.Header().Set("X-Content-Type-Options", "nosniff")
	rw.Header().Set("Cache-Control", "public, max-age=3600")
	_, _ = rw.Write([]byte("document.forms[0].submit();\n"))
}
