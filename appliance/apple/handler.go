package apple

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"muster/appliance/fleet"
)

// Paths of the device endpoints. They stand in every enrolled device's profile and can never change.
const (
	CheckInPath = "/mdm/apple/checkin"
	ConnectPath = "/mdm/apple/connect"
)

// Size limits of device messages. Command results carry whole inventories, check-ins only tokens and small reports.
const (
	maxCheckIn = 1 << 20
	maxResult  = 8 << 20
)

const (
	checkInType = "application/x-apple-aspen-mdm-checkin"
	plistType   = "application/xml; charset=UTF-8"
	jsonType    = "application/json"
)

// reply is what a device is answered.
type reply struct {
	status int
	kind   string // content type
	body   []byte
}

var nothing = reply{status: http.StatusOK}

// problem is a refusal of a device's message. Its text goes to the log and, being about the message only, to the device.
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

// Handler serves CheckInPath and ConnectPath. Both take either kind of message, told by its content type: an older
// profile without CheckInURL sends all to one address.
func (a *Apple) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(CheckInPath, a.serve)
	mux.HandleFunc(ConnectPath, a.serve)
	return mux
}

func (a *Apple) serve(w http.ResponseWriter, r *http.Request) {
	rep, err := a.answer(r)
	if err != nil {
		rep = a.refusal(r, err)
	}
	h := w.Header()
	if rep.kind != "" {
		h.Set("Content-Type", rep.kind)
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(rep.body)))
	w.WriteHeader(rep.status)
	if len(rep.body) > 0 {
		_, _ = w.Write(rep.body) // a device that has gone away calls again
	}
}

// answer reads one message, ties it to its enrolment and acts on it.
func (a *Apple) answer(r *http.Request) (reply, error) {
	if r.Method != http.MethodPut && r.Method != http.MethodPost {
		return reply{}, &problem{status: http.StatusMethodNotAllowed, what: "method"}
	}
	checkIn := strings.HasPrefix(r.Header.Get("Content-Type"), checkInType)
	limit := int64(maxResult)
	if checkIn {
		limit = maxCheckIn
	}
	ctx := r.Context()
	body, id, err := a.identified(ctx, r, limit)
	if err != nil {
		return reply{}, err
	}
	msg, err := readPlist(body)
	if err != nil {
		return reply{}, bad("message", err)
	}
	c := fleet.Contact{Identity: *id, Channel: channelOf(msg), At: a.now(), From: sourceOf(r)}
	if checkIn {
		return a.checkIn(ctx, c, msg)
	}
	return a.command(ctx, c, msg)
}

func readBody(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, bad("message too large", nil)
	}
	var b bytes.Buffer
	if n := r.ContentLength; n > 0 {
		b.Grow(int(min(n, 32<<10)) + bytes.MinRead) // what is announced is not yet there: memory is given as bytes come
	}
	n, err := b.ReadFrom(io.LimitReader(r.Body, limit+1))
	switch {
	case err != nil:
		return nil, bad("message cut off", err)
	case n > limit:
		return nil, bad("message too large", nil)
	}
	return b.Bytes(), nil
}

// channelOf tells which channel speaks. A Shared iPad names all its users alike and tells them apart by short name.
func channelOf(msg dict) fleet.Channel {
	user := msg.text("UserID")
	if user == "" {
		user = msg.text("EnrollmentUserID")
	}
	if strings.EqualFold(user, "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF") {
		user = msg.text("UserShortName")
	}
	if user == "" {
		return fleet.DeviceChannel
	}
	return fleet.Channel("user:" + user)
}

func sourceOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// refusal turns an error into an answer that a device survives: never 401, and 403 only with fleet's word that the
// enrolment has ended.
func (a *Apple) refusal(r *http.Request, err error) reply {
	status, what := http.StatusInternalServerError, "internal"
	var p *problem
	var ref *fleet.Refusal
	switch {
	case errors.Is(err, fleet.ErrUnrecognized):
		a.log.Info("device of an ended enrolment turned away", "from", sourceOf(r))
		return unrecognized(r)
	case errors.As(err, &p):
		status, what = p.status, p.what
	case errors.Is(err, fleet.ErrForeign), errors.Is(err, fleet.ErrNoRecord), errors.Is(err, fleet.ErrIdentity):
		status, what = http.StatusBadRequest, "identity"
	case errors.As(err, &ref):
		status, what = http.StatusBadRequest, ref.Reason.Code
	case errors.Is(err, fleet.ErrGone), errors.Is(err, fleet.ErrConflict), errors.Is(err, fleet.ErrNotFound), errors.Is(err, fleet.ErrInvalid):
		status, what = http.StatusBadRequest, "refused"
	case errors.Is(err, fleet.ErrNoRoom):
		status, what = http.StatusServiceUnavailable, "later"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		status, what = http.StatusServiceUnavailable, "interrupted"
	}
	if status == http.StatusInternalServerError {
		a.log.Error("device message", "path", r.URL.Path, "from", sourceOf(r), "err", err)
	} else {
		a.log.Warn("device message refused", "path", r.URL.Path, "from", sourceOf(r), "what", what, "err", err)
	}
	return reply{status: status, kind: "text/plain; charset=utf-8", body: []byte(what + "\n")}
}

// unrecognized tells a device that it is no longer managed: it then removes its enrolment by itself (iOS 17,
// macOS 14; errors/unrecognized.device). A client that asks for JSON gets JSON.
func unrecognized(r *http.Request) reply {
	if strings.Contains(r.Header.Get("Accept"), jsonType) {
		return reply{status: http.StatusForbidden, kind: jsonType, body: []byte(`{"code":"com.apple.unrecognized.device"}` + "\n")}
	}
	return reply{status: http.StatusForbidden, kind: plistType, body: mustPlist(struct {
		Code string `plist:"code"`
	}{"com.apple.unrecognized.device"})}
}
