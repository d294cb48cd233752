package android

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// apiError is an answer of Google's that refuses a call (https://cloud.google.com/apis/design/errors).
type apiError struct {
	HTTP    int
	Status  string // "INVALID_ARGUMENT", …
	Message string
	Reason  string   // of ErrorInfo: "SERVICE_DISABLED", …
	Fields  []string // of BadRequest: which fields are wrong
	Link    string   // of Help: where to mend it
	After   time.Duration
}

func (e *apiError) Error() string {
	return fmt.Sprintf("google: %d %s: %s", e.HTTP, e.Status, e.Message)
}

// readError reads an error answer. Gateways answer in HTML: then only the number is known.
func readError(status int, h http.Header, body []byte) *apiError {
	e := &apiError{HTTP: status, Status: http.StatusText(status)}
	if s, err := strconv.Atoi(h.Get("Retry-After")); err == nil && s > 0 && s < 86400 {
		e.After = time.Duration(s) * time.Second
	}
	var in struct {
		Error struct {
			Message string            `json:"message"`
			Status  string            `json:"status"`
			Details []json.RawMessage `json:"details"`
		} `json:"error"`
	}
	if json.Unmarshal(body, &in) != nil {
		return e
	}
	e.Message = clip(in.Error.Message, 1000)
	if in.Error.Status != "" {
		e.Status = clip(in.Error.Status, 60)
	}
	for i, raw := range in.Error.Details {
		if i == 20 {
			break
		}
		e.detail(raw)
	}
	return e
}

func (e *apiError) detail(raw []byte) {
	var d struct {
		Type            string `json:"@type"`
		Reason          string `json:"reason"`
		RetryDelay      string `json:"retryDelay"`
		FieldViolations []struct {
			Field       string `json:"field"`
			Description string `json:"description"`
		} `json:"fieldViolations"`
		Links []struct {
			URL string `json:"url"`
		} `json:"links"`
	}
	if json.Unmarshal(raw, &d) != nil {
		return
	}
	switch {
	case strings.HasSuffix(d.Type, "ErrorInfo"):
		e.Reason = clip(d.Reason, 60)
	case strings.HasSuffix(d.Type, "RetryInfo"):
		if t, err := time.ParseDuration(d.RetryDelay); err == nil && t > 0 && t < 24*time.Hour {
			e.After = max(e.After, t)
		}
	case strings.HasSuffix(d.Type, "BadRequest"):
		for i, v := range d.FieldViolations {
			if i == 10 {
				break
			}
			e.Fields = append(e.Fields, clip(v.Field+": "+v.Description, 300))
		}
	case strings.HasSuffix(d.Type, "Help"):
		for _, l := range d.Links {
			if strings.HasPrefix(l.URL, "https://") && len(l.URL) < 500 {
				e.Link = l.URL
				return
			}
		}
	}
}

// words are Google's own, for people who look for them.
func (e *apiError) words() string {
	out := e.Status
	if e.Message != "" {
		out += ": " + e.Message
	}
	for _, f := range e.Fields {
		out += "\n" + f
	}
	return out
}

// is says whether err is an answer of Google's with that HTTP status.
func is(err error, status int) bool {
	var e *apiError
	return errors.As(err, &e) && e.HTTP == status
}

// trouble is why no call can succeed for now, whichever device it is about.
type trouble struct {
	Code  string // a reason code
	Words string
	After time.Duration // before which nothing more is tried
	cause error
}

func (t *trouble) Error() string { return "google: " + t.Code + ": " + t.Words }
func (t *trouble) Unwrap() error { return t.cause }

// troubled returns the trouble that err is about, nil when it concerns one call only.
func troubled(err error) *trouble {
	var t *trouble
	if errors.As(err, &t) {
		return t
	}
	return nil
}

// clip cuts s to at most n bytes, at a rune.
func clip(s string, n int) string {
	if len(s) <= n {
		return strings.ToValidUTF8(s, "�")
	}
	return strings.ToValidUTF8(s[:n], "")
}
