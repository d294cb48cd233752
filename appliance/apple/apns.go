package apple

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"muster/appliance/fleet"
)

// apnsURL is where Apple takes pushes over HTTP/2 (port 2197 serves the same).
const apnsURL = "https://api.push.apple.com"

// Reason codes of pushes.
const (
	codePushAccepted    = "apple.push.accepted"
	codePushAddress     = "apple.push.address-lost"
	codePushNoCert      = "apple.push.no-certificate"
	codePushExpired     = "apple.push.certificate-expired"
	codePushRefused     = "apple.push.certificate-refused"
	codePushTopic       = "apple.push.topic-differs"
	codePushTokenDead   = "apple.push.token-dead"
	codePushFault       = "apple.push.fault"
	codePushBusy        = "apple.push.busy"
	codePushUnreachable = "apple.push.unreachable"
)

const (
	pushTimeout  = 30 * time.Second
	pushKeptFor  = 7 * 24 * time.Hour // APNs keeps only the latest push of a device, so repeating costs nothing
	pushPingIdle = time.Minute
)

// pusher sends pushes through APNs with one HTTP/2 connection for each push certificate.
type pusher struct {
	fleet Fleet
	base  string
	tls   *tls.Config
	now   func() time.Time
	slots chan struct{}

	mu          sync.Mutex
	fingerprint string // of the certificate that client uses
	client      *http.Client
	topic       string
	notAfter    time.Time
}

func newPusher(c Config, now func() time.Time) *pusher {
	p := &pusher{fleet: c.Fleet, base: strings.TrimRight(c.PushURL, "/"), now: now,
		tls: &tls.Config{RootCAs: c.PushRoots, MinVersion: tls.VersionTLS12}}
	if p.base == "" {
		p.base = apnsURL
	}
	n := c.PushAtOnce
	if n <= 0 {
		n = 64
	}
	p.slots = make(chan struct{}, n)
	return p
}

// send sends one push. What comes of it is never a reason to forget a device: only 410 says that a token is dead.
func (p *pusher) send(ctx context.Context, addr wakeAddress) fleet.WakeResult {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return fleet.WakeResult{Reason: fleet.Why(codePushUnreachable)} // given up while waiting for a place
	}
	client, topic, notAfter, err := p.connection(ctx)
	switch {
	case errors.Is(err, fleet.ErrNotFound):
		return fleet.WakeResult{Service: true, RetryAfter: time.Hour, Reason: fleet.Why(codePushNoCert)}
	case err != nil:
		return fleet.WakeResult{Service: true, RetryAfter: 5 * time.Minute, Reason: told(codePushFault, err.Error())}
	case !p.now().Before(notAfter):
		return fleet.WakeResult{Service: true, RetryAfter: time.Hour, Reason: fleet.Why(codePushExpired, "date", notAfter.Format(time.DateOnly))}
	case topic != addr.Topic:
		return fleet.WakeResult{RetryAfter: 24 * time.Hour, Reason: fleet.Why(codePushTopic)}
	}
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	body, err := json.Marshal(struct {
		MDM string `json:"mdm"`
	}{addr.Magic})
	if err != nil {
		return fleet.WakeResult{Reason: told(codePushFault, err.Error())}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base+"/3/device/"+hex.EncodeToString(addr.Token), bytes.NewReader(body))
	if err != nil {
		return fleet.WakeResult{Reason: told(codePushFault, err.Error())}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("apns-topic", topic)
	req.Header.Set("apns-push-type", "mdm")
	req.Header.Set("apns-priority", "10")
	req.Header.Set("apns-expiration", strconv.FormatInt(p.now().Add(pushKeptFor).Unix(), 10))
	resp, err := client.Do(req)
	if err != nil {
		return unreached(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return unreached(err)
	}
	return judge(resp, answer, addr)
}

// unreached judges a push that got no answer: a TLS alert speaks of the certificate, the rest of the network.
func unreached(err error) fleet.WakeResult {
	var alert tls.AlertError
	if errors.As(err, &alert) || strings.Contains(err.Error(), "remote error: tls:") {
		return fleet.WakeResult{Service: true, RetryAfter: time.Hour, Reason: told(codePushRefused, err.Error())}
	}
	return fleet.WakeResult{Service: true, Reason: told(codePushUnreachable, err.Error())}
}

// told is a reason with the words of the network or of APNs.
func told(code, words string) fleet.Reason {
	r := fleet.Why(code)
	r.DeviceWords = clip(words)
	return r
}

// judge reads the answer of APNs.
func judge(resp *http.Response, body []byte, addr wakeAddress) fleet.WakeResult {
	if resp.StatusCode == http.StatusOK {
		return fleet.WakeResult{Accepted: true, Reason: fleet.Why(codePushAccepted)}
	}
	var said struct {
		Reason    string `json:"reason"`
		Timestamp int64  `json:"timestamp"` // ms; of when the token was known to be dead
	}
	_ = json.Unmarshal(body, &said) // an answer in another form is judged by its status alone
	words := said.Reason
	if words == "" {
		words = resp.Status
	}
	switch code := resp.StatusCode; {
	case code == http.StatusGone:
		if said.Timestamp > 0 && time.UnixMilli(said.Timestamp).Before(addr.At) {
			return fleet.WakeResult{RetryAfter: 15 * time.Minute, Reason: told(codePushFault, words)} // said of an older token
		}
		return fleet.WakeResult{Dead: true, Reason: told(codePushTokenDead, words)}
	case code == http.StatusForbidden:
		return fleet.WakeResult{Service: true, RetryAfter: time.Hour, Reason: told(codePushRefused, words)}
	case code == http.StatusTooManyRequests:
		return fleet.WakeResult{RetryAfter: retryAfter(resp, 15*time.Minute), Reason: told(codePushBusy, words)}
	case code >= 500:
		return fleet.WakeResult{Service: code == http.StatusServiceUnavailable, RetryAfter: retryAfter(resp, 0), Reason: told(codePushBusy, words)}
	case said.Reason == "IdleTimeout":
		return fleet.WakeResult{RetryAfter: time.Minute, Reason: told(codePushUnreachable, words)}
	case code == http.StatusBadRequest:
		// BadDeviceToken, DeviceTokenNotForTopic, BadTopic …: a fault of the certificate or the environment. The token stays.
		return fleet.WakeResult{RetryAfter: time.Hour, Reason: told(codePushTopicOrFault(said.Reason), words)}
	}
	return fleet.WakeResult{RetryAfter: time.Hour, Reason: told(codePushFault, words)}
}

func codePushTopicOrFault(reason string) string {
	switch reason {
	case "DeviceTokenNotForTopic", "BadTopic", "MissingTopic", "TopicDisallowed":
		return codePushTopic
	}
	return codePushFault
}

// retryAfter reads the header of that name in seconds, at most a day.
func retryAfter(resp *http.Response, otherwise time.Duration) time.Duration {
	n, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || n <= 0 {
		return otherwise
	}
	return min(time.Duration(n)*time.Second, 24*time.Hour)
}

// connection gives the client of the present push certificate, with the certificate's topic and end. Another certificate
// gets another client: a connection once made keeps the certificate that it was made with. fleet.ErrNotFound when there is none yet.
func (p *pusher) connection(ctx context.Context) (*http.Client, string, time.Time, error) {
	known, err := p.fleet.PushCertificate(ctx)
	if err != nil {
		return nil, "", time.Time{}, err
	}
	if known == nil {
		return nil, "", time.Time{}, fleet.ErrNotFound
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client != nil && p.fingerprint == known.Fingerprint {
		return p.client, p.topic, p.notAfter, nil
	}
	cert, err := p.fleet.PushIdentity(ctx)
	if err != nil {
		return nil, "", time.Time{}, err
	}
	topic, notAfter, err := readPushCertificate(cert.Certificate[0])
	if err != nil {
		return nil, "", time.Time{}, err
	}
	if p.client != nil {
		p.client.CloseIdleConnections()
	}
	conf := p.tls.Clone()
	conf.Certificates = []tls.Certificate{*cert}
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	p.client = &http.Client{Transport: &http.Transport{
		TLSClientConfig:     conf,
		Protocols:           protocols,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: pushPingIdle, PingTimeout: 15 * time.Second},
		TLSHandshakeTimeout: 15 * time.Second,
		Proxy:               http.ProxyFromEnvironment,
	}}
	p.fingerprint, p.topic, p.notAfter = known.Fingerprint, topic, notAfter
	return p.client, topic, notAfter, nil
}

func (p *pusher) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.client != nil {
		p.client.CloseIdleConnections()
	}
}
