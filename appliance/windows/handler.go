package windows

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"muster/appliance/fleet"
)

// Paths of the services. Discovery's is fixed by the client; the others stand in every enrolled PC.
const (
	DiscoveryPath = "/EnrollmentServer/Discovery.svc"
	PolicyPath    = "/EnrollmentServer/Policy.svc"
	EnrolmentPath = "/EnrollmentServer/Enrollment.svc"
	SessionPath   = "/mdm/windows/session"
)

// Size limits. A request for a certificate carries attestation of some 20 KB; a session may bring whole inventories.
const (
	maxSOAP   = 512 << 10
	maxSyncML = 4 << 20
)

const syncMLType = "application/vnd.syncml.dm+xml"

// EnrolmentHandler serves everything under /EnrollmentServer/, in any case of letters: discovery on every name, the rest on the
// device address, the sign-in on the public one.
func (w *Windows) EnrolmentHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+DiscoveryPath, func(rw http.ResponseWriter, _ *http.Request) {
		h := rw.Header()
		h.Set("Content-Type", "text/html; charset=UTF-8")
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Length", "0")
	})
	mux.HandleFunc("POST "+DiscoveryPath, w.soap("Discover", func(r *http.Request, e *envelope) ([]byte, error) {
		return w.discover(r.Context(), e)
	}))
	mux.HandleFunc("POST "+PolicyPath, w.soap("GetPolicies", func(r *http.Request, e *envelope) ([]byte, error) {
		if _, err := w.policyCaller(r, e); err != nil {
			return nil, err
		}
		return policies(e), nil
	}))
	mux.HandleFunc("POST "+EnrolmentPath, w.soap("RequestSecurityToken", w.requestToken))
	mux.HandleFunc("GET "+SignInPath, w.signInStart)
	mux.HandleFunc("GET "+HandOverPath+"{ticket}", w.handOver)
	mux.HandleFunc("GET "+handOverScript, w.script)
	known := []string{DiscoveryPath, PolicyPath, EnrolmentPath, SignInPath, handOverScript}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		for _, p := range known {
			if r.URL.Path != p && strings.EqualFold(r.URL.Path, p) {
				u := *r.URL
				u.Path, u.RawPath = p, ""
				q := *r
				q.URL = &u
				r = &q
			}
		}
		mux.ServeHTTP(rw, r)
	})
}

// Serves says whether a path is one of EnrolmentHandler's.
func Serves(path string) bool {
	const prefix = "/EnrollmentServer/"
	return len(path) >= len(prefix) && strings.EqualFold(path[:len(prefix)], prefix)
}

// soap reads an envelope, has it answered, and writes the answer in one piece: the client refuses a chunked one.
func (w *Windows) soap(want string, answer func(*http.Request, *envelope) ([]byte, error)) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		status := http.StatusOK
		e := &envelope{}
		body, err := readBody(r, maxSOAP)
		if err == nil {
			var read *envelope
			if read, err = readEnvelope(body, want); read != nil {
				e = read
			}
		} else {
			err = &fault{sub: "s:MessageFormat", cause: err}
		}
		var out []byte
		if err == nil {
			out, err = answer(r, e)
		}
		if err != nil {
			f, trace := faultOf(err), newUUID()
			level := w.log.Warn
			if f.sub == "a:InternalServiceFault" {
				level = w.log.Error
			}
			level("enrolment refused", "service", want, "from", sourceOf(r), "trace", trace, "err", err)
			status, out = http.StatusInternalServerError, f.write(e.messageID, w.say(nil, "reason."+f.code()), trace)
		}
		write(rw, status, soapType, out)
	}
}

func write(rw http.ResponseWriter, status int, kind string, body []byte) {
	h := rw.Header()
	if kind != "" {
		h.Set("Content-Type", kind)
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	rw.WriteHeader(status)
	_, _ = rw.Write(body) // a device that has gone away calls again
}

// SessionHandler serves SessionPath.
func (w *Windows) SessionHandler() http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		out, err := w.answer(r)
		if err != nil {
			w.refuse(rw, r, err)
			return
		}
		write(rw, http.StatusOK, syncMLType, out)
	})
}

// problem is a refusal of a device's message.
type problem struct {
	status int
	what   string
	cause  error
}

func (p *problem) Error() string {
	if p.cause != nil {
		return p.what + ": " + p.cause.Error()
	}
	return p.what
}

func (p *problem) Unwrap() error { return p.cause }

func bad(what string, cause error) error {
	return &problem{status: http.StatusBadRequest, what: what, cause: cause}
}

// answer ties a session message to its enrolment, before a byte of it is read, and has it dealt with.
func (w *Windows) answer(r *http.Request) ([]byte, error) {
	if r.Method != http.MethodPost {
		return nil, &problem{status: http.StatusMethodNotAllowed, what: "method"}
	}
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, bad("no identity", nil)
	}
	ctx := r.Context()
	id, err := w.fleet.Identify(ctx, r.TLS.PeerCertificates[0])
	if err != nil {
		return nil, err
	}
	body, err := readBody(r, maxSyncML)
	if err != nil {
		return nil, bad("message", err)
	}
	msg, err := readMessage(body)
	if err != nil {
		return nil, bad("message", err)
	}
	c := fleet.Contact{Identity: *id, Channel: fleet.DeviceChannel, At: w.now(), From: sourceOf(r)}
	return w.session(ctx, c, msg, body)
}

// refuse answers what cannot be dealt with. 403 is said only when fleet is sure that the enrolment has ended.
func (w *Windows) refuse(rw http.ResponseWriter, r *http.Request, err error) {
	status, what := http.StatusInternalServerError, "internal"
	var p *problem
	switch {
	case errors.Is(err, fleet.ErrUnrecognized):
		status, what = http.StatusForbidden, "ended"
	case errors.As(err, &p):
		status, what = p.status, p.what
	case errors.Is(err, fleet.ErrForeign), errors.Is(err, fleet.ErrNoRecord), errors.Is(err, fleet.ErrIdentity):
		status, what = http.StatusBadRequest, "identity"
	case errors.Is(err, fleet.ErrGone), errors.Is(err, fleet.ErrConflict), errors.Is(err, fleet.ErrNotFound), errors.Is(err, fleet.ErrInvalid):
		status, what = http.StatusBadRequest, "refused"
	case errors.Is(err, fleet.ErrNoRoom):
		status, what = http.StatusServiceUnavailable, "later"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		status, what = http.StatusServiceUnavailable, "interrupted"
	}
	if status == http.StatusInternalServerError {
		w.log.Error("device message", "path", r.URL.Path, "from", sourceOf(r), "err", err)
	} else {
		w.log.Warn("device message refused", "path", r.URL.Path, "from", sourceOf(r), "what", what, "err", err)
	}
	write(rw, status, "text/plain; charset=utf-8", []byte(what+"\n"))
}

func readBody(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, fmt.Errorf("larger than %d bytes", limit)
	}
	var b bytes.Buffer
	if n := r.ContentLength; n > 0 {
		b.Grow(int(min(n, 32<<10)) + bytes.MinRead) // what is announced is not yet there: memory is given as bytes come
	}
	n, err := b.ReadFrom(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("cut off: %w", err)
	}
	if n > limit {
		return nil, fmt.Errorf("larger than %d bytes", limit)
	}
	return b.Bytes(), nil
}

func sourceOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
