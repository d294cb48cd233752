package ui

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"time"

	"muster/appliance/fleet"
)

// Errors of the pages themselves; those of the domain stand in fleet.
var (
	errNoPage   = errors.New("ui: no such page")
	errOrigin   = errors.New("ui: request from another origin")
	errBadForm  = errors.New("ui: form cannot be read")
	errTooLarge = errors.New("ui: form too large")
)

// adapt turns a handler into an http.Handler: the one place that answers errors
// and logs them. With signIn it asks for a session first.
func (u *UI) adapt(signIn bool, h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, err := u.request(w, r)
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler {
					panic(v)
				}
				u.fail(q, fmt.Errorf("panic: %v\n%s", v, debug.Stack()))
			}
		}()
		if err == nil {
			if signIn && q.Admin == nil {
				err = u.askSignIn(q)
			} else {
				err = h(q)
			}
		}
		if err != nil {
			u.fail(q, err)
		}
	})
}

// askSignIn sends whoever is not signed in to set-up or sign-in, and back to the
// page afterwards.
func (u *UI) askSignIn(q *Request) error {
	state, err := u.fleet.SetupState(q.Context())
	if err != nil {
		return err
	}
	if !state.Done {
		return q.Redirect("/setup")
	}
	target := "/signin"
	if q.Method == http.MethodGet && q.URL.Path != "/" {
		target += "?to=" + url.QueryEscape(q.URL.RequestURI())
	}
	return q.Redirect(target)
}

// failure is what an error page says.
type failure struct {
	Title, Text string
	Reference   string
	Home        bool
	Wait        bool // after too many tries
}

// fail writes the page for err. Unknown errors are ours: the person gets a
// reference, the log the cause.
func (u *UI) fail(q *Request, err error) {
	if errors.Is(err, context.Canceled) && q.Context().Err() != nil {
		return // whoever asked has gone: there is nobody to answer, and nothing went wrong
	}
	status := http.StatusInternalServerError
	switch {
	case errors.Is(err, errNoPage), errors.Is(err, fleet.ErrNotFound):
		status = http.StatusNotFound
	case errors.Is(err, errOrigin), errors.Is(err, fleet.ErrForbidden):
		status = http.StatusForbidden
	case errors.Is(err, errTooLarge):
		status = http.StatusRequestEntityTooLarge
	case errors.Is(err, errBadForm), errors.Is(err, fleet.ErrInvalid):
		status = http.StatusBadRequest
	case errors.Is(err, fleet.ErrConflict), errors.Is(err, fleet.ErrNotApplicable):
		status = http.StatusConflict
	case errors.Is(err, fleet.ErrGone):
		status = http.StatusGone
	case errors.Is(err, fleet.ErrLimited):
		status = http.StatusTooManyRequests
	case errors.Is(err, fleet.ErrSignIn):
		status = http.StatusForbidden
	case errors.Is(err, fleet.ErrNoRoom):
		status = http.StatusServiceUnavailable
		q.W.Header().Set("Retry-After", "60")
	}
	key := "error." + strconv.Itoa(status)
	f := failure{Title: q.T(key + ".title"), Text: q.T(key + ".text"), Home: q.Admin != nil}
	if status == http.StatusNotFound && q.Admin == nil {
		f.Text = q.T("error.404.open")
	}
	if errors.Is(err, errOrigin) {
		f.Text = q.T("error.403.origin")
	}
	var refusal *fleet.Refusal
	if errors.As(err, &refusal) {
		if refusal.Reason.Code != "" && q.Words.Has("reason."+refusal.Reason.Code) {
			f.Text = q.Say(refusal.Reason)
		}
		if status == http.StatusTooManyRequests && refusal.RetryAfter > 0 {
			f.Text, f.Wait = q.T("error.429.after", "wait", wholeMinutes(refusal.RetryAfter)), q.URL.Path == "/signin" || q.URL.Path == "/signin/code"
			q.W.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(refusal.RetryAfter.Seconds()))))
		}
	}
	if status == http.StatusInternalServerError {
		f.Reference = rand.Text()[:10]
		u.log.Error("page failed", "method", q.Method, "path", logPath(q.URL.Path), "reference", f.Reference, "error", err)
	}
	layout := "people/error"
	if q.Admin != nil {
		layout = "app/error"
	}
	if err := q.PageStatus(status, layout, Page{Title: f.Title, Slim: "slim", Data: f}); err != nil {
		u.log.Error("error page failed", "path", logPath(q.URL.Path), "error", err)
		http.Error(q.W, f.Title+"\n"+f.Text, status)
	}
}

// wholeMinutes rounds a wait up, as a person would say it: to seconds below two minutes, else to minutes.
func wholeMinutes(d time.Duration) time.Duration {
	unit := time.Second
	if d > 2*time.Minute {
		unit = time.Minute
	}
	return (d + unit - 1).Truncate(unit)
}

// logPath hides what must not reach the log: invitation codes and tickets.
func logPath(path string) string {
	for _, secret := range []string{"/enroll/"} {
		if len(path) > len(secret) && path[:len(secret)] == secret {
			return secret + "…"
		}
	}
	return path
}
