package android

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// Where Google answers.
const (
	managementBase = "https://androidmanagement.googleapis.com"
	pubsubBase     = "https://pubsub.googleapis.com"
)

const (
	answerMost = 32 << 20 // bytes: a page of a hundred devices with their apps
	callTries  = 4
	callWait   = 60 * time.Second  // of one try
	pullWait   = 120 * time.Second // Google holds an empty pull for up to 90 s
)

// client calls Google on behalf of one connection.
type client struct {
	http       *http.Client
	auth       authenticator
	management string
	pubsub     string
	limit      *limiter
	pause      *pause        // of the management service
	pubPause   *pause        // of Pub/Sub
	backoff    time.Duration // unit of waiting: a second
}

// call is one request.
type call struct {
	lane   lane
	method string
	base   string // management or pubsub
	path   string // after v1/
	query  url.Values
	body   any
	once   bool // not to be repeated when it is unknown whether it was done
	long   bool // Google holds it
}

// do makes a call and decodes its answer into out, where out is given. Errors: *apiError for a refusal that concerns this call, *trouble for one
// that concerns all.
func (c *client) do(ctx context.Context, in call, out any) error {
	var body []byte
	if in.body != nil {
		var err error
		if body, err = json.Marshal(in.body); err != nil {
			return fmt.Errorf("%s %s: %w", in.method, in.path, err)
		}
	}
	held := c.pause
	if in.base == c.pubsub {
		held = c.pubPause
	}
	anew := false
	for try := 1; ; try++ {
		if in.lane != laneSetup {
			if t := held.now(); t != nil {
				return t
			}
		}
		if err := c.limit.wait(ctx, in.lane); err != nil {
			return err
		}
		token, err := c.auth.bearer(ctx)
		if err != nil {
			stumble(held, err)
			return err
		}
		err = c.try(ctx, in, token, body, out)
		if err == nil {
			held.over()
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		var refused *apiError
		answered := errors.As(err, &refused)
		switch {
		case answered && refused.HTTP == http.StatusUnauthorized && !anew:
			c.auth.refused(token)
			anew = true
			continue
		case answered && refused.HTTP == http.StatusNotModified: // seen from PATCH without effect
			return nil
		case answered && refused.HTTP == http.StatusConflict && refused.Status == "ABORTED" && try < callTries:
		case answered && refused.HTTP < 500, in.once && !answered, try == callTries:
			err = c.weigh(err)
			stumble(held, err)
			return err
		}
		if in.once && (!answered || refused.HTTP != http.StatusServiceUnavailable) {
			err = c.weigh(err)
			stumble(held, err)
			return err
		}
		wait := c.backoff << (try - 1)
		wait += time.Duration(rand.Int64N(int64(wait)/2 + 1))
		if answered && refused.After > 0 {
			wait = min(refused.After, time.Minute)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
	}
}

// try sends a request once.
func (c *client) try(ctx context.Context, in call, token string, body []byte, out any) error {
	limit := callWait
	if in.long {
		limit = pullWait
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	q := url.Values{"alt": {"json"}, "prettyPrint": {"false"}}
	for k, v := range in.query {
		q[k] = v
	}
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, in.method, in.base+"/v1/"+in.path+"?"+q.Encode(), r)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("User-Agent", "muster")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, answerMost))
	if err != nil {
		return err
	}
	if res.StatusCode < 200 || res.StatusCode > 299 {
		return readError(res.StatusCode, res.Header, answer)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("answer to %s %s: %w", in.method, in.path, err)
	}
	return nil
}

// weigh tells an error of one call from one that any other call would meet too.
func (c *client) weigh(err error) error {
	var e *apiError
	if !errors.As(err, &e) {
		if _, syntax := errors.AsType[*json.SyntaxError](err); syntax {
			return err
		}
		return &trouble{Code: codeUnreachable, Words: plainCause(err), After: 5 * c.backoff, cause: err}
	}
	t := &trouble{Words: e.words(), cause: err}
	switch {
	case e.HTTP == http.StatusTooManyRequests:
		t.Code, t.After = codeLimited, max(60*c.backoff, e.After) // Google's advice: at least a minute
	case e.HTTP >= 500:
		t.Code, t.After = codeUnavailable, 5*c.backoff
	case e.HTTP == http.StatusUnauthorized:
		t.Code, t.After = codeKeyRefused, 60*c.backoff
	case e.HTTP == http.StatusForbidden && e.Reason == "SERVICE_DISABLED":
		t.Code, t.After = codeAPIOff, 60*c.backoff
	case e.HTTP == http.StatusForbidden && (strings.Contains(strings.ToLower(e.Message), "usage") || e.Reason == "PERMISSIBLE_USAGE_RESTRICTION"):
		t.Code, t.After = codeUsage, 60*c.backoff
	default:
		return err
	}
	return t
}

// stumble notes trouble, so that the calls that follow do not all run into it.
func stumble(p *pause, err error) {
	if t := troubled(err); t != nil {
		p.begin(t)
	}
}

// pause holds calls back after trouble. Each time it comes again it is longer, up to ten minutes.
type pause struct {
	mu     sync.Mutex
	cause  *trouble
	until  time.Time
	streak int
	since  time.Time
}

// now is the trouble that lasts.
func (p *pause) now() *trouble {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cause == nil || !time.Now().Before(p.until) {
		return nil
	}
	t := *p.cause
	t.After = time.Until(p.until)
	return &t
}

func (p *pause) begin(t *trouble) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.cause != nil && now.Before(p.until) {
		return // several calls met the same
	}
	if p.streak == 0 {
		p.since = now
	}
	p.streak++
	wait := t.After << min(p.streak-1, 5)
	p.cause, p.until = t, now.Add(min(wait, max(10*time.Minute, t.After)))
}

func (p *pause) over() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cause, p.streak, p.until = nil, 0, time.Time{}
}

// last is the trouble met last that no call has got over since.
func (p *pause) last() (*trouble, time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cause, p.since
}
