package windows

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"muster/appliance/fleet"
)

// wnsTokenURL is where Microsoft hands out tokens for pushes (Windows Push Notification Services).
const wnsTokenURL = "https://login.live.com/accesstoken.srf"

// Reason codes of pushes.
const (
	codePushPolls    = "windows.push.polls"
	codePushAccepted = "windows.push.accepted"
	codePushAddress  = "windows.push.address-lost"
	codePushSecret   = "windows.push.secret-refused"
	codePushDead     = "windows.push.channel-dead"
	codePushDropped  = "windows.push.dropped"
	codePushOther    = "windows.push.other-app"
	codePushBusy     = "windows.push.busy"
	codePushFault    = "windows.push.fault"
	codePushNetwork  = "windows.push.unreachable"
)

const (
	pushTimeout  = 20 * time.Second
	tokenSpare   = 5 * time.Minute // a token is fetched anew so long before its end
	tokenRefused = 15 * time.Minute
	pushTTL      = time.Hour
)

// validChannel says whether an address that a PC named may be pushed to: it must be https under notify.windows.com, whatever else is set.
// Anything else would let a PC have this server call where it likes.
func validChannel(raw string) bool {
	if raw == "" || len(raw) > 2000 {
		return false
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" || u.User != nil || u.Opaque != "" || u.Fragment != "" || u.Port() != "" && u.Port() != "443" {
		return false
	}
	host, ok := strings.CutSuffix(strings.ToLower(u.Hostname()), ".notify.windows.com")
	if !ok || host == "" {
		return false
	}
	return strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-.") == "" && !strings.Contains(host, "..") && !strings.HasPrefix(host, ".") && !strings.HasSuffix(host, ".")
}

// wns sends pushes through Microsoft's service.
type wns struct {
	fleet  Fleet
	client *http.Client
	now    func() time.Time

	mu    sync.Mutex // one token request at a time: all pushes wait for the same token
	token wnsToken
}

// wnsToken is a token, or the refusal to give one.
type wnsToken struct {
	of      string // package SID and hash of the secret that it was given for
	value   string
	until   time.Time
	refusal fleet.Reason
}

func newWNS(f Fleet, transport http.RoundTripper, now func() time.Time) *wns {
	if transport == nil {
		transport = &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: 15 * time.Second, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute}
	}
	return &wns{fleet: f, now: now, client: &http.Client{Transport: transport, Timeout: pushTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// errRefused is a token request that Microsoft refused; its reason is in the wnsToken.
var errRefused = errors.New("windows: no token for pushes")

// bearer is the present token, fetched when there is none that is good. A refusal is remembered for a while: no credentials become
// right by asking again at once.
func (p *wns) bearer(ctx context.Context) (string, *fleet.Reason, error) {
	sid, secret, err := p.fleet.WindowsPushSecret(ctx)
	if err != nil {
		return "", nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	of := sid + "\x00" + string(hashOf(secret))
	if p.token.of != of || !p.now().Before(p.token.until) {
		t, err := p.fetch(ctx, sid, secret)
		if err != nil {
			return "", nil, err
		}
		t.of = of
		p.token = t
	}
	if p.token.value == "" {
		return "", &p.token.refusal, errRefused
	}
	return p.token.value, nil, nil
}

// forget drops a token that was not taken.
func (p *wns) forget(value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.token.value == value {
		p.token = wnsToken{}
	}
}

func (p *wns) fetch(ctx context.Context, sid, secret string) (wnsToken, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {sid}, "client_secret": {secret}, "scope": {"notify.windows.com"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, wnsTokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return wnsToken{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := p.client.Do(req)
	if err != nil {
		return wnsToken{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return wnsToken{}, err
	}
	if resp.StatusCode >= 500 || resp.StatusCode == http.StatusTooManyRequests {
		return wnsToken{}, fmt.Errorf("token: %s", resp.Status)
	}
	var said struct {
		Token   string `json:"access_token"`
		Expires int    `json:"expires_in"`
		Error   string `json:"error"`
		Words   string `json:"error_description"`
	}
	if err := json.Unmarshal(body, &said); err != nil || resp.StatusCode != http.StatusOK || said.Token == "" {
		words := strings.TrimSpace(said.Error + " " + said.Words)
		if words == "" {
			words = resp.Status
		}
		return wnsToken{until: p.now().Add(tokenRefused), refusal: told(codePushSecret, words)}, nil
	}
	life := min(max(time.Duration(said.Expires)*time.Second, 2*tokenSpare), 24*time.Hour)
	return wnsToken{value: said.Token, until: p.now().Add(life - tokenSpare)}, nil
}

// told is a reason with the words of the network or of WNS.
func told(code, words string) fleet.Reason {
	r := fleet.Why(code)
	r.DeviceWords = clip(words)
	return r
}

// send sends one push to a channel. A token that is not taken is fetched anew, once.
func (p *wns) send(ctx context.Context, channel string) fleet.WakeResult {
	if !validChannel(channel) {
		return fleet.WakeResult{Dead: true, Reason: fleet.Why(codePushAddress)}
	}
	for again := false; ; again = true {
		token, refusal, err := p.bearer(ctx)
		switch {
		case errors.Is(err, fleet.ErrNotFound):
			return polls()
		case refusal != nil:
			return fleet.WakeResult{Service: true, RetryAfter: tokenRefused, Reason: *refusal}
		case err != nil:
			return fleet.WakeResult{Service: true, Reason: told(codePushNetwork, cause(err))}
		}
		resp, err := p.post(ctx, channel, token)
		if err != nil {
			return fleet.WakeResult{Service: true, Reason: told(codePushNetwork, cause(err))}
		}
		if resp.StatusCode == http.StatusUnauthorized {
			p.forget(token)
			if !again {
				continue
			}
		}
		return judge(resp)
	}
}

// cause leaves the address out of a network error: a channel is a secret of its PC.
func cause(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}

// post sends a raw notification; its content is ignored by the PC, and must not be empty.
func (p *wns) post(ctx context.Context, channel, token string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, channel, bytes.NewReader([]byte("call")))
	if err != nil {
		return nil, err
	}
	h := req.Header
	h.Set("Authorization", "Bearer "+token)
	h.Set("Content-Type", "application/octet-stream")
	h.Set("X-WNS-Type", "wns/raw")
	h.Set("X-WNS-Cache-Policy", "cache")
	h.Set("X-WNS-TTL", strconv.Itoa(int(pushTTL/time.Second)))
	resp, err := p.client.Do(req)
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 4<<10)) // so that the connection can be used again
	resp.Body.Close()
	return resp, nil
}

// judge reads the answer of WNS.
func judge(resp *http.Response) fleet.WakeResult {
	words := resp.Status
	for _, name := range []string{"X-WNS-Status", "X-WNS-Error-Description"} {
		if v := resp.Header.Get(name); v != "" {
			words += " " + v
		}
	}
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
		switch strings.ToLower(resp.Header.Get("X-WNS-Status")) {
		case "dropped":
			return fleet.WakeResult{RetryAfter: 15 * time.Minute, Reason: told(codePushDropped, words)}
		case "channelthrottled":
			return fleet.WakeResult{RetryAfter: retryAfter(resp, 15*time.Minute), Reason: told(codePushBusy, words)}
		}
		return fleet.WakeResult{Accepted: true, Reason: fleet.Why(codePushAccepted)}
	case code == http.StatusNotFound, code == http.StatusGone:
		return fleet.WakeResult{Dead: true, Reason: told(codePushDead, words)}
	case code == http.StatusForbidden: // the channel was opened for another app: it has to be opened anew
		return fleet.WakeResult{Dead: true, Reason: told(codePushOther, words)}
	case code == http.StatusNotAcceptable, code == http.StatusTooManyRequests:
		return fleet.WakeResult{RetryAfter: retryAfter(resp, 15*time.Minute), Reason: told(codePushBusy, words)}
	case code >= 500:
		return fleet.WakeResult{Service: code == http.StatusServiceUnavailable, RetryAfter: retryAfter(resp, 0), Reason: told(codePushBusy, words)}
	}
	return fleet.WakeResult{RetryAfter: time.Hour, Reason: told(codePushFault, words)}
}

// retryAfter reads the header of that name in seconds, at most a day.
func retryAfter(resp *http.Response, otherwise time.Duration) time.Duration {
	n, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || n <= 0 {
		return otherwise
	}
	return min(time.Duration(n)*time.Second, 24*time.Hour)
}

// polls is the answer for a PC that cannot be pushed: it calls by itself.
func polls() fleet.WakeResult {
	return fleet.WakeResult{Accepted: true, RetryAfter: 24 * time.Hour, Reason: fleet.Why(codePushPolls)}
}
