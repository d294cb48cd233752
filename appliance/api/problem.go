package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"muster/appliance/fleet"
	"muster/ui/words"
)

// problem is an error as RFC 9457 writes it, with our codes.
type problem struct {
	Type   string                  `json:"type"`
	Title  string                  `json:"title"`
	Status int                     `json:"status"`
	Detail string                  `json:"detail"`
	Code   string                  `json:"code"`
	Args   map[string]string       `json:"args,omitempty"`
	Fields map[string]fieldProblem `json:"fields,omitempty"`
}

type fieldProblem struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// kinds maps fleet's sentinels to statuses: the one place where an error becomes a status.
var kinds = []struct {
	is     error
	status int
}{
	{fleet.ErrNotFound, http.StatusNotFound},
	{fleet.ErrForbidden, http.StatusForbidden},
	{fleet.ErrInvalid, http.StatusUnprocessableEntity},
	{fleet.ErrConflict, http.StatusConflict},
	{fleet.ErrNotApplicable, http.StatusConflict},
	{fleet.ErrGone, http.StatusGone},
	{fleet.ErrLimited, http.StatusTooManyRequests},
	{fleet.ErrSignIn, http.StatusUnauthorized},
	{fleet.ErrNoRoom, http.StatusServiceUnavailable},
	{errBadRequest, http.StatusBadRequest},
}

// errBadRequest is a request that cannot be read: not JSON, an unknown field, a bad number.
var errBadRequest = errors.New("api: bad request")

// statusOf is the status of an error; what is no refusal of ours is 500.
func statusOf(err error) int {
	for _, k := range kinds {
		if errors.Is(err, k.is) {
			return k.status
		}
	}
	return http.StatusInternalServerError
}

// fail writes an error. What is not a refusal is ours: it goes to the log, and the caller learns only that it happened.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	lang := words.Negotiate("", r.Header.Get("Accept-Language"))
	p := problem{Type: "about:blank", Status: statusOf(err), Code: "internal"}
	if p.Status != http.StatusInternalServerError {
		p.Code = "error"
	}
	p.Title = http.StatusText(p.Status)
	var refusal *fleet.Refusal
	switch {
	case errors.As(err, &refusal):
		p.Code, p.Args = refusal.Reason.Code, refusal.Reason.Args
		p.Detail = s.say(lang, refusal.Reason)
		for name, reason := range refusal.Fields {
			if p.Fields == nil {
				p.Fields = map[string]fieldProblem{}
			}
			p.Fields[name] = fieldProblem{reason.Code, s.say(lang, reason)}
		}
		if refusal.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(refusal.RetryAfter.Seconds())+1))
		}
	case p.Status == http.StatusServiceUnavailable:
		s.Logger.Warn("api", "method", r.Method, "path", r.URL.Path, "err", err)
		p.Code, p.Detail = "no-room", s.say(lang, fleet.Why("no-room"))
		w.Header().Set("Retry-After", "60")
	case p.Status == http.StatusInternalServerError:
		s.Logger.Error("api", "method", r.Method, "path", r.URL.Path, "err", err)
		p.Detail = s.say(lang, fleet.Why("internal"))
	case p.Status == http.StatusBadRequest:
		p.Code = "request.unreadable"
		p.Detail = s.say(lang, fleet.Why(p.Code, "why", strings.TrimPrefix(err.Error(), errBadRequest.Error()+": ")))
	default:
		p.Detail = err.Error()
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="muster"`)
	}
	body, _ := json.Marshal(p)
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	w.Write(body)
}

// say puts a reason into words.
func (s *server) say(lang words.Lang, r fleet.Reason) string {
	args := words.Args{}
	for k, v := range r.Args {
		args[k] = v
	}
	return s.Words.Reason(lang, r.Code, args, r.DeviceWords)
}

func badRequest(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errBadRequest}, args...)...)
}
