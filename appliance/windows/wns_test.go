package windows

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"muster/appliance/fleet"
)

// fakeWNS stands in for Microsoft's services, as the client's transport: whatever is not one of their addresses is a mistake of ours.
type fakeWNS struct {
	t      testing.TB
	mu     sync.Mutex
	tokens int                                // handed out
	pushes []string                           // channels pushed to
	answer func(*http.Request) *http.Response // to a push; nil = taken
	login  func(url.Values) (int, string)     // to a token request; nil = granted
	fail   error
}

func (f *fakeWNS) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return nil, f.fail
	}
	body, _ := io.ReadAll(r.Body)
	reply := func(status int, body string) *http.Response {
		return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
	}
	if r.URL.String() == wnsTokenURL {
		form, _ := url.ParseQuery(string(body))
		if r.Method != http.MethodPost || form.Get("grant_type") != "client_credentials" || form.Get("scope") != "notify.windows.com" || form.Get("client_id") != pushSID || form.Get("client_secret") != "S3cret" {
			f.t.Errorf("token request %s %v", r.Method, form)
		}
		if f.login != nil {
			status, text := f.login(form)
			return reply(status, text), nil
		}
		f.tokens++
		return reply(200, `{"access_token":"token-`+string(rune('a'+f.tokens))+`","token_type":"bearer","expires_in":86400}`), nil
	}
	if !strings.HasSuffix(r.URL.Hostname(), ".notify.windows.com") || r.URL.Scheme != "https" {
		f.t.Errorf("a push to %s", r.URL)
	}
	h := r.Header
	if r.Method != http.MethodPost || h.Get("X-WNS-Type") != "wns/raw" || h.Get("Content-Type") != "application/octet-stream" || len(body) == 0 || r.ContentLength != int64(len(body)) || !strings.HasPrefix(h.Get("Authorization"), "Bearer token-") {
		f.t.Errorf("push %s %v %q", r.Method, h, body)
	}
	f.pushes = append(f.pushes, r.URL.String())
	if f.answer != nil {
		return f.answer(r), nil
	}
	out := reply(200, "")
	out.Header.Set("X-WNS-Status", "received")
	return out, nil
}

func (f *fakeWNS) pushed() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.pushes)
}

const (
	pushSID    = "ms-app://s-1-15-2-1111111111-2222222222-3333333333-4444444444-1555555555-2666666666-3777777777"
	pushFamily = "Example.Muster_8wekyb3d8bbwe"
	channelOne = "https://db5p.notify.windows.com/?token=one"
)

// listening keeps what the domain is told of a PC's address.
type listening struct {
	*fleet.Fleet
	address map[fleet.DeviceID][]byte
}

func (l *listening) Reach(ctx context.Context, c fleet.Contact, wake []byte) (*fleet.Device, error) {
	if c.Channel == fleet.DeviceChannel {
		l.address[c.Identity.Device] = wake
	}
	return l.Fleet.Reach(ctx, c, wake)
}

// pushable is a world with push set up and a PC that opens a channel when it is told the name.
func pushable(t *testing.T) (*world, *fakeWNS, *pc) {
	t.Helper()
	w := newWorld(t)
	f := &fakeWNS{t: t}
	w.windows.push = newWNS(w.fleet, f, w.now)
	w.windows.fleet = &listening{w.fleet, map[fleet.DeviceID][]byte{}}
	_, err := w.fleet.SaveWindowsPush(context.Background(), w.admin, fleet.WindowsPushInput{Family: pushFamily, SID: strings.ToUpper(pushSID[9:]), Secret: " S3cret "})
	must(t, err)
	p := w.enrolled(testID, fleet.Corporate)
	p.hook = func(c sentCommand) {
		if c.uri == pushNode+"PFN" {
			p.tree[pushNode+"ChannelURI"], p.tree[pushNode+"Status"] = channelOne, "0"
			if c.verb == "Delete" {
				delete(p.tree, pushNode+"ChannelURI")
			}
		}
	}
	if got := p.run(); got != 200 {
		t.Fatalf("session: %d", got)
	}
	return w, f, p
}

// wakeOf is the wake that fleet would hand over now.
func (w *world) wakeOf(p *pc) fleet.WakeResult {
	w.t.Helper()
	id := w.device(p.id).ID
	return w.windows.Wake(context.Background(), fleet.Wake{Device: id, Channel: fleet.DeviceChannel, Address: w.windows.fleet.(*listening).address[id]})
}

// TestPush is a PC that learns the name, opens a channel, and is pushed to; its channel ends, and it opens another.
func TestPush(t *testing.T) {
	w, f, p := pushable(t)
	if got := p.tree[pushNode+"PFN"]; got != pushFamily {
		t.Fatalf("the PC was told %q", got)
	}
	if res := w.wakeOf(p); !res.Accepted || !res.Calls || f.pushed() != 1 || f.pushes[0] != channelOne {
		t.Fatalf("push: %+v to %v", res, f.pushes)
	}
	for range 3 {
		w.wakeOf(p)
	}
	if f.tokens != 1 {
		t.Errorf("%d tokens for four pushes", f.tokens)
	}
	w.later.Add(int64(25 * time.Hour))
	if res := w.wakeOf(p); !res.Accepted || f.tokens != 2 {
		t.Errorf("after a day: %+v, %d tokens", res, f.tokens)
	}
	before := len(p.seen)
	p.run()
	p.run()
	asked := 0
	for _, c := range p.seen[before:] {
		if c.uri == pushNode+"ChannelURI" {
			asked++
		}
	}
	if asked != 1 {
		t.Errorf("the channel was read %d times in a day", asked)
	}

	status := func(code int, header ...string) {
		f.answer = func(r *http.Request) *http.Response {
			out := &http.Response{StatusCode: code, Status: http.StatusText(code), Header: http.Header{}, Body: http.NoBody, Request: r}
			for i := 1; i < len(header); i += 2 {
				out.Header.Set(header[i-1], header[i])
			}
			return out
		}
	}
	for _, tt := range []struct {
		name   string
		code   int
		header []string
		want   fleet.WakeResult
	}{
		{"dropped", 200, []string{"X-WNS-Status", "dropped"}, fleet.WakeResult{RetryAfter: 15 * time.Minute, Reason: fleet.Why(codePushDropped)}},
		{"throttled", 406, []string{"Retry-After", "120"}, fleet.WakeResult{RetryAfter: 2 * time.Minute, Reason: fleet.Why(codePushBusy)}},
		{"throttled, kindly", 200, []string{"X-WNS-Status", "channelThrottled"}, fleet.WakeResult{RetryAfter: 15 * time.Minute, Reason: fleet.Why(codePushBusy)}},
		{"down", 503, nil, fleet.WakeResult{Reason: fleet.Why(codePushBusy)}},
		{"too large", 413, nil, fleet.WakeResult{RetryAfter: time.Hour, Reason: fleet.Why(codePushFault)}},
		{"elsewhere", 302, []string{"Location", "https://169.254.169.254/"}, fleet.WakeResult{RetryAfter: time.Hour, Reason: fleet.Why(codePushFault)}},
		{"gone", 410, nil, fleet.WakeResult{Dead: true, Reason: fleet.Why(codePushDead)}},
	} {
		status(tt.code, tt.header...)
		res := w.wakeOf(p)
		if res.Accepted != tt.want.Accepted || res.Dead != tt.want.Dead || res.RetryAfter != tt.want.RetryAfter || res.Reason.Code != tt.want.Reason.Code || !res.Calls {
			t.Errorf("%s: %+v, want %+v", tt.name, res, tt.want)
		}
	}

	// A token that is no longer taken is fetched anew, once.
	had := f.tokens
	f.answer = func(r *http.Request) *http.Response {
		code := 401
		if r.Header.Get("Authorization") == "Bearer token-"+string(rune('a'+had+1)) {
			code = 200
		}
		return &http.Response{StatusCode: code, Header: http.Header{}, Body: http.NoBody, Request: r}
	}
	if res := w.wakeOf(p); !res.Accepted || f.tokens != had+1 {
		t.Errorf("after 401: %+v, %d tokens", res, f.tokens-had)
	}
	f.answer = nil

	// The dead channel is read at the next call, and the new one is pushed to.
	p.tree[pushNode+"ChannelURI"] = "https://am3p.notify.windows.com/?token=two"
	p.run()
	if res := w.wakeOf(p); !res.Accepted || f.pushes[len(f.pushes)-1] != "https://am3p.notify.windows.com/?token=two" {
		t.Errorf("new channel: %+v %s", res, f.pushes[len(f.pushes)-1])
	}

	// Taken back, the PC closes its channel and is pushed no more.
	must(t, w.fleet.RemoveWindowsPush(context.Background(), w.admin))
	p.run()
	n := f.pushed()
	if res := w.wakeOf(p); !res.Accepted || res.Reason.Code != codePushPolls || f.pushed() != n {
		t.Errorf("after it was taken back: %+v", res)
	}
	if _, there := p.tree[pushNode+"PFN"]; there {
		t.Error("the PC keeps the name")
	}
}

// TestPushCredentials: what Microsoft refuses is not asked for again at once, and says so.
func TestPushCredentials(t *testing.T) {
	ctx := context.Background()
	w, f, p := pushable(t)
	asked := 0
	f.login = func(url.Values) (int, string) {
		asked++
		return 400, `{"error":"invalid_client","error_description":"bad secret"}`
	}
	for range 3 {
		if res := w.wakeOf(p); res.Accepted || res.Reason.Code != codePushSecret || !strings.Contains(res.Reason.DeviceWords, "invalid_client") || res.Dead {
			t.Errorf("%+v", res)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times with the same secret", asked)
	}
	f.login = nil
	w.later.Add(int64(16 * time.Minute))
	if res := w.wakeOf(p); !res.Accepted {
		t.Errorf("%+v", res)
	}
	w.windows.push = newWNS(w.fleet, f, w.now)
	f.fail = errors.New("no route to host")
	if res := w.wakeOf(p); res.Accepted || res.Reason.Code != codePushNetwork || strings.Contains(res.Reason.DeviceWords, "token=") {
		t.Errorf("%+v", res)
	}
	for _, in := range []fleet.WindowsPushInput{{Family: "x", SID: pushSID, Secret: "s"}, {Family: pushFamily, SID: "ms-app://evil", Secret: "s"}, {Family: pushFamily, SID: pushSID[:len(pushSID)-1] + "1"}} {
		if _, err := w.fleet.SaveWindowsPush(ctx, w.admin, in); !errors.Is(err, fleet.ErrInvalid) {
			t.Errorf("%+v: %v", in, err)
		}
	}
	if _, err := w.fleet.SaveWindowsPush(ctx, w.admin, fleet.WindowsPushInput{Family: "Other.App_8wekyb3d8bbwe", SID: pushSID}); err != nil {
		t.Errorf("the secret is not kept: %v", err)
	}
}

// TestChannelGuard: a PC cannot have this server call where it likes, whatever it says and whatever is set.
func TestChannelGuard(t *testing.T) {
	for _, good := range []string{channelOne, "https://notify.a.notify.windows.com:443/x", "https://DB5P.Notify.Windows.Com/?token=A%2b"} {
		if !validChannel(good) {
			t.Errorf("%q is refused", good)
		}
	}
	bad := []string{"", "http://db5p.notify.windows.com/", "https://notify.windows.com/", "https://evilnotify.windows.com/", "https://db5p.notify.windows.com.evil.example/",
		"https://evil.example/.notify.windows.com", "https://evil.example/?x=.notify.windows.com", "https://evil.example#.notify.windows.com", "https://a@db5p.notify.windows.com/",
		"https://db5p.notify.windows.com:8443/", "https://evil.example\\.notify.windows.com/", "https://evil.example%2f.notify.windows.com/", "https://[::1].notify.windows.com/",
		"https:db5p.notify.windows.com", "https://.notify.windows.com/", "https://a..notify.windows.com/", "https://db5p.notify.windows.com./", "//db5p.notify.windows.com/",
		"https://evil.example?.notify.windows.com/", "https://db5p.notify.windows.com/" + strings.Repeat("x", 2000), "https://127.0.0.1/", "gopher://a.notify.windows.com/"}
	for _, b := range bad {
		if validChannel(b) {
			t.Errorf("%q is taken", b)
		}
	}
	w, f, p := pushable(t)
	for _, b := range bad[1:8] {
		p.tree[pushNode+"ChannelURI"] = b
		w.later.Add(int64(25 * time.Hour))
		p.run()
		n := f.pushed()
		if res := w.wakeOf(p); res.Reason.Code != codePushPolls || f.pushed() != n {
			t.Errorf("%q: %+v", b, res)
		}
	}
}

func FuzzValidChannel(f *testing.F) {
	f.Add(channelOne)
	f.Add("https://a@b.notify.windows.com:443/")
	f.Fuzz(func(t *testing.T, s string) {
		if !validChannel(s) {
			return
		}
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "https" || !strings.HasSuffix(strings.ToLower(u.Hostname()), ".notify.windows.com") || u.User != nil {
			t.Errorf("%q is taken", s)
		}
	})
}
