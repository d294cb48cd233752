package android

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	"muster/appliance/fleet"
)

// answers gives every request the same answer.
type answers []byte

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(a)), Request: r}, nil
}

// FuzzConnection gives arbitrary bytes as what somebody uploads for a key file, and as what Pub/Sub, or a relay in its place, answers to a pull.
func FuzzConnection(f *testing.F) {
	f.Add([]byte(`{"type":"service_account","client_email":"a@b","private_key":"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n","token_uri":"https://oauth2.googleapis.com/token"}`))
	f.Add([]byte(`{"private_key":"-----BEGIN RSA PRIVATE KEY-----\n","token_uri":"https://oauth2.googleapis.com@evil.example/"}`))
	f.Add([]byte(`{"receivedMessages":[{"ackId":"1","message":{"data":"eyJuYW1lIjoiZW50ZXJwcmlzZXMvRS9kZXZpY2VzL0QifQ==","attributes":{"notificationType":"STATUS_REPORT"},"messageId":"7"}}]}`))
	f.Add([]byte(`{"receivedMessages":[{"message":{"data":"*","attributes":null}},{}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := newServiceAccount(b, "", nil, time.Now); err == nil && (s.key == nil || !fleet.GoogleToken(s.tokenURI, "")) {
			t.Errorf("an account at %q", s.tokenURI)
		}
		c := &client{http: &http.Client{Transport: answers(b)}, auth: shared("secret"), management: managementBase, pubsub: pubsubBase,
			limit: newLimiter(1e6, callsAtOnce), pause: &pause{}, pubPause: &pause{}, backoff: time.Nanosecond}
		list, err := c.pull(t.Context(), "projects/p/subscriptions/s")
		if err != nil {
			return
		}
		if len(list) > len(b) {
			t.Errorf("%d messages of %d bytes", len(list), len(b))
		}
		for _, m := range list {
			name, _ := deviceNamed(m.Message.Attributes["notificationType"], m.Message.Data)
			if name != "" && enterpriseOf(name) == "" {
				t.Errorf("%q is no device", name)
			}
		}
	})
}
