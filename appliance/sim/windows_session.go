package sim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// typeSyncML is the content type of management messages.
const typeSyncML = "application/vnd.syncml.dm+xml"

// unenrolAlert is the type of the alert that tells the server that the PC leaves.
const unenrolAlert = "com.microsoft:mdm.unenrollment.userrequest"

// maxMessages ends a session that a server never lets end.
const maxMessages = 200

// Session runs one management session until the server has nothing more, and then what
// its commands set going in the background (certificates, downloads, a wipe). Another
// session follows by itself when the server asked for one. ErrUnmanaged means that the
// PC is not enrolled (any more).
func (d *Windows) Session(ctx context.Context) error {
	for range 4 {
		again, err := d.sessionOnce(ctx)
		if err != nil || !again {
			return err
		}
	}
	d.complain("the server asks for one session after the other")
	return nil
}

// Push is a push from the server: the PC opens a session at once and says why.
func (d *Windows) Push(ctx context.Context) error {
	d.mu.Lock()
	d.push = true
	d.mu.Unlock()
	return d.Session(ctx)
}

func (d *Windows) sessionOnce(ctx context.Context) (again bool, err error) {
	if err := d.begin(ctx); err != nil {
		return false, err
	}
	defer d.end()
	m := d.managed()
	if m == nil {
		return false, ErrUnmanaged
	}
	if d.State().Offline {
		return false, ErrOffline
	}
	s, begun := d.newSession(m), d.o.Clock()
	err = s.run(ctx)
	m.client.CloseIdleConnections() // the client hangs up after each session
	if err == nil {
		d.mu.Lock()
		m.first, m.lastContact = false, begun
		d.seen.sessions++
		d.mu.Unlock()
	}
	d.background(ctx)
	if err = d.failed(err); err == nil && d.managed() == nil {
		err = ErrUnmanaged
	}
	d.mu.Lock()
	again, d.again = d.again && d.mdm != nil && err == nil, false
	d.mu.Unlock()
	return again, err
}

// background does what the commands left to do after the session.
func (d *Windows) background(ctx context.Context) {
	for {
		d.mu.Lock()
		if len(d.later) == 0 {
			d.mu.Unlock()
			return
		}
		work := d.later[0]
		d.later = d.later[1:]
		d.mu.Unlock()
		work(ctx)
	}
}

// dmSession is one session under way.
type dmSession struct {
	d       *Windows
	m       *pcManagement
	id      string
	message int
	alerts  []pcAlert // of the first message
	authed  bool      // 212: logged in for the session
	auth    string    // BASIC or DIGEST, as the server challenged; "" unasked
	refused int       // logins in a row
	limit   int       // MaxMsgSize of the server's last message; 0: none
}

// newSession numbers a session and gathers what it has to tell.
func (d *Windows) newSession(m *pcManagement) *dmSession {
	d.mu.Lock()
	defer d.mu.Unlock()
	base := 10
	if v := d.tree.value(d.tree.own() + "SyncApplicationVersion"); v != "" && v != "1.0" {
		base = 16
	}
	s := &dmSession{d: d, m: m, id: strings.ToUpper(strconv.FormatInt(int64(m.sessions%0x10000), base)), auth: m.deviceAuth.kind}
	m.sessions = (m.sessions + 1) % 10000
	start := "1201"
	if m.first || d.push {
		start = "1200"
	}
	d.push = false
	s.alerts = append([]pcAlert{{code: start}, {code: "1224", kind: "com.microsoft/MDM/LoginStatus", data: d.login}}, d.alerts...)
	d.alerts = nil
	return s
}

// run exchanges messages until the server has nothing more.
func (s *dmSession) run(ctx context.Context) error {
	next := s.first
	for s.message < maxMessages {
		s.message++
		w := &syncWriter{}
		w.header(strings.TrimSpace(s.id), decimal(s.message), s.m.addr, s.d.hw.deviceID, s.cred(), s.d.o.MaxMsgSize)
		sent := next(w)
		if s.message > 1 {
			s.d.mu.Lock()
			slow, breaks := s.d.mood.Slow, s.d.mood.BreaksOff > 0
			if breaks {
				s.d.mood.BreaksOff--
			}
			s.d.mu.Unlock()
			if breaks {
				return fmt.Errorf("%w: the PC was switched off", ErrSessionAborted)
			}
			if slow > 0 {
				if err := sleep(ctx, slow); err != nil {
					return err
				}
			}
		}
		body := w.finish()
		if s.limit > 0 && len(body) > s.limit {
			return s.abort(ctx)
		}
		reply, err := s.exchange(ctx, body)
		if err != nil {
			return err
		}
		again, err := s.read(reply, sent)
		switch {
		case err != nil:
			return err
		case again: // the login was refused: the same message with a fresh one
			continue
		}
		s.limit = reply.header.maxSize
		run := s.d.execute(s, reply)
		if run.leaves {
			s.leave(ctx)
			return nil
		}
		if !run.commands && reply.final {
			return nil
		}
		next = run.write
	}
	s.d.complain("a session does not end after %d messages", maxMessages)
	return fmt.Errorf("%w: too many messages", ErrSessionAborted)
}

// cred is the login for the next message, when one is needed.
func (s *dmSession) cred() string {
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	if s.authed || s.auth == "" {
		return ""
	}
	return s.m.deviceAuth.cred(s.auth)
}

// first writes the first message's body: alerts and DevInfo. It returns the CmdIDs by command.
func (s *dmSession) first(w *syncWriter) map[string]string {
	sent := map[string]string{}
	w.next++ // the client leaves the first number out
	for _, a := range s.alerts {
		sent[strconv.Itoa(w.next+1)] = "Alert"
		w.alert(a)
	}
	id := w.id()
	sent[id] = "Replace"
	s.d.mu.Lock()
	defer s.d.mu.Unlock()
	w.b.WriteString(`<Replace><CmdID>` + id + `</CmdID>`)
	for _, name := range []string{"DevId", "Man", "Mod", "DmV", "Lang"} {
		w.b.WriteString(`<Item><Source><LocURI>./DevInfo/` + name + `</LocURI></Source><Data>` + esc(s.d.tree.value("./DevInfo/"+name)) + `</Data></Item>`)
	}
	w.b.WriteString(`</Replace>`)
	return sent
}

// address is where messages go: the account's address with the client's own parameters.
func (s *dmSession) address() string {
	return withQuery(s.m.addr, "mode=Maintenance&Platform=WoA")
}

// exchange sends one message and reads the answer. A message whose answer does not
// arrive is sent again as it was, after a pause that doubles.
func (s *dmSession) exchange(ctx context.Context, body []byte) (*syncMessage, error) {
	pause := s.m.backoff
	for try := 0; ; try++ {
		b, err := s.post(ctx, body)
		if err == nil {
			return s.parse(b)
		}
		var status *StatusError
		if errors.As(err, &status) || ctx.Err() != nil || try >= s.m.retries {
			return nil, err
		}
		s.d.log.Info("an answer is missing", "message", s.message, "error", err)
		if err := sleep(ctx, s.scaled(min(pause, s.m.maxBackoff))); err != nil {
			return nil, err
		}
		pause *= 2
	}
}

// scaled shortens a pause by the same measure as the minutes of schedules.
func (s *dmSession) scaled(t time.Duration) time.Duration {
	return time.Duration(float64(t) * float64(s.d.o.Minute) / float64(time.Minute))
}

var errAnswerLost = errors.New("the answer got lost")

// post sends one message over mutual TLS.
func (s *dmSession) post(ctx context.Context, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.address(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", typeSyncML)
	req.Header.Set("Accept", typeSyncML+", application/octet-stream")
	req.Header.Set("User-Agent", "MSFT OMA DM Client/1.2.0.1")
	s.d.mu.Lock()
	signs := s.d.tree.value(s.d.tree.own()+"RequireMessageSigning") == "true"
	s.d.mu.Unlock()
	if signs {
		signature, err := sign(body, s.m.id)
		if err != nil {
			return nil, err
		}
		req.Header.Set("MDM-Signature", signature)
	}
	resp, err := s.m.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("sending to the server: %w", withoutQuery(err))
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	if err != nil {
		return nil, fmt.Errorf("reading the server's answer: %w", err)
	}
	s.d.mu.Lock()
	s.d.seen.messages++
	lost := s.d.mood.LosesAnswers > 0
	if lost {
		s.d.mood.LosesAnswers--
	}
	s.d.mu.Unlock()
	switch why := refusedAnswer(resp, typeSyncML); {
	case lost:
		return nil, errAnswerLost
	case resp.StatusCode != http.StatusOK:
		return nil, &StatusError{Code: resp.StatusCode, Body: beginning(b)}
	case why != "":
		return nil, &StatusError{Code: resp.StatusCode, Body: why}
	}
	return b, nil
}

// parse reads an answer and holds its frame against the message that it answers.
func (s *dmSession) parse(b []byte) (*syncMessage, error) {
	reply, err := parseSyncML(b)
	if err != nil {
		s.d.complain("the server's message cannot be read: %v", err)
		return nil, fmt.Errorf("%w: the server's message: %w", ErrSessionAborted, err)
	}
	if limit := s.d.o.MaxMsgSize; limit > 0 && len(b) > limit {
		s.d.complain("a message of %d bytes is larger than MaxMsgSize %d", len(b), limit)
		return nil, fmt.Errorf("%w: the server's message is too large", ErrSessionAborted)
	}
	for _, f := range reply.faults {
		s.d.complain("%s", f)
	}
	h := reply.header
	if h.session != s.id {
		return nil, fmt.Errorf("%w: the answer is for session %q, not %q", ErrSessionAborted, h.session, s.id)
	}
	if h.message != decimal(s.message) {
		return nil, fmt.Errorf("%w: the answer's MsgID is %q, not %d", ErrSessionAborted, h.message, s.message)
	}
	if h.target != s.d.hw.deviceID || h.source != s.m.addr {
		s.d.complain("the answer goes from %q to %q", h.source, h.target)
	}
	return reply, nil
}

// read takes in the statuses of an answer; again means that the login has to be repeated.
func (s *dmSession) read(reply *syncMessage, sent map[string]string) (again bool, err error) {
	if len(reply.commands) == 0 || reply.commands[0].verb != "Status" || reply.commands[0].cmd != "SyncHdr" || reply.commands[0].ref != "0" {
		s.d.complain("the answer does not begin with the status of SyncHdr")
		return false, fmt.Errorf("%w: the answer has no status for SyncHdr", ErrSessionAborted)
	}
	for _, c := range reply.commands {
		if c.verb != "Status" {
			continue
		}
		if c.msgRef != decimal(s.message) {
			s.d.complain("a status refers to message %s, not %d", c.msgRef, s.message)
		}
		if c.ref == "0" {
			continue
		}
		if cmd, there := sent[c.ref]; !there || cmd != c.cmd {
			s.d.complain("a status answers %s %s, which was not sent", c.cmd, c.ref)
		}
		delete(sent, c.ref)
	}
	header := reply.commands[0]
	if len(header.nonce) > 0 || header.auth != "" {
		s.d.mu.Lock()
		s.m.deviceAuth.nonce = header.nonce
		s.d.mu.Unlock()
	}
	switch header.data {
	case "212":
		s.authed = true
	case "200":
		s.authed = s.auth == "" // logged in for this message only
	case "401", "407":
		if s.refused++; s.refused >= 2 {
			return false, fmt.Errorf("%w: the server refuses the login (%s)", ErrSessionAborted, header.data)
		}
		switch header.auth {
		case "syncml:auth-md5":
			s.auth = "DIGEST"
		case "syncml:auth-basic":
			s.auth = "BASIC"
		default:
			return false, fmt.Errorf("%w: the server challenges by %q", ErrSessionAborted, header.auth)
		}
		if s.m.deviceAuth.kind == "" {
			return false, fmt.Errorf("%w: there is no login to answer the challenge", ErrSessionAborted)
		}
		return true, nil
	default:
		return false, fmt.Errorf("%w: the server answers SyncHdr with %s", ErrSessionAborted, header.data)
	}
	s.refused = 0
	for id, cmd := range sent {
		s.d.complain("%s %s of message %d got no status", cmd, id, s.message)
	}
	return false, nil
}

// decimal writes a MsgID.
func decimal(n int) string { return strconv.Itoa(n) }

// abort tells the server that the session ends here.
func (s *dmSession) abort(ctx context.Context) error {
	s.message++
	w := &syncWriter{}
	w.header(s.id, decimal(s.message), s.m.addr, s.d.hw.deviceID, s.cred(), s.d.o.MaxMsgSize)
	w.alert(pcAlert{code: "1223"})
	if _, err := s.post(ctx, w.finish()); err != nil {
		s.d.log.Info("the abort did not arrive", "error", err)
	}
	return fmt.Errorf("%w: the answer is larger than the server's MaxMsgSize", ErrSessionAborted)
}

// leave ends management: a first message with the unenrolment alert, best effort.
func (s *dmSession) leave(ctx context.Context) {
	s.d.mu.Lock()
	silent := s.d.mood.SilentUnenrol
	s.d.mu.Unlock()
	if !silent {
		s.message = 1
		w := &syncWriter{}
		w.header(s.id, "1", s.m.addr, s.d.hw.deviceID, s.cred(), s.d.o.MaxMsgSize)
		w.alert(pcAlert{code: "1226", kind: unenrolAlert, format: "int", data: "1"})
		if _, err := s.post(ctx, w.finish()); err != nil {
			s.d.log.Info("the unenrolment alert did not arrive", "error", err)
		}
	}
	s.d.leave(s.m, "the server unenrolled the PC")
}

// leave removes management and everything that came with it, without telling anybody.
func (d *Windows) leave(m *pcManagement, why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mdm != m {
		return
	}
	m.client.CloseIdleConnections()
	d.mdm, d.alerts, d.again = nil, nil, false
	d.tree = d.tree.left()
	d.seen.ended = why
	d.log.Info("management ended", "because", why)
	d.nudge()
}
