package android

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"muster/appliance/fleet"
)

// Scopes of the two services, in one token.
const scopes = "https://www.googleapis.com/auth/androidmanagement https://www.googleapis.com/auth/pubsub"

// authenticator gives what stands in the Authorization header.
type authenticator interface {
	// bearer returns a token that is good for at least a minute, made when needed.
	bearer(ctx context.Context) (string, error)
	// refused says that Google did not take a token: the next one is made anew.
	refused(token string)
}

// shared is a relay's secret: it does not change, and cannot be made anew.
type shared string

func (s shared) bearer(context.Context) (string, error) { return string(s), nil }
func (s shared) refused(string)                         {}

// serviceAccount exchanges assertions, signed with its key, for tokens (RFC 7523, section 2.1).
type serviceAccount struct {
	email, keyID, tokenURI string
	key                    *rsa.PrivateKey
	http                   *http.Client
	now                    func() time.Time

	mu    sync.Mutex // one exchange at a time
	token string
	ends  time.Time
}

// newServiceAccount reads a key file. What it names as the place for tokens must be Google's, or that of the stand-in for it: the file may have been
// kept before that was looked at.
func newServiceAccount(file []byte, standIn string, client *http.Client, now func() time.Time) (*serviceAccount, error) {
	var in struct {
		KeyID string `json:"private_key_id"`
		Key   string `json:"private_key"`
		Email string `json:"client_email"`
		Token string `json:"token_uri"`
	}
	if err := json.Unmarshal(file, &in); err != nil {
		return nil, errors.New("service account: not JSON")
	}
	if !fleet.GoogleToken(in.Token, standIn) {
		return nil, errors.New("service account: its token_uri is not Google's")
	}
	block, _ := pem.Decode([]byte(in.Key))
	if block == nil {
		return nil, errors.New("service account: no private key")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		if parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes); err != nil {
			return nil, errors.New("service account: the private key cannot be read")
		}
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("service account: the private key is not RSA")
	}
	return &serviceAccount{email: in.Email, keyID: in.KeyID, tokenURI: in.Token, key: key, http: client, now: now}, nil
}

func (s *serviceAccount) refused(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token == token {
		s.token = ""
	}
}

func (s *serviceAccount) bearer(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.token != "" && time.Now().Before(s.ends) {
		return s.token, nil
	}
	assertion, err := s.assertion()
	if err != nil {
		return "", err
	}
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.tokenURI, strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := s.http.Do(req)
	if err != nil {
		return "", &trouble{Code: codeUnreachable, Words: plainCause(err), After: 5 * time.Second, cause: err}
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	if err != nil {
		return "", &trouble{Code: codeUnreachable, Words: plainCause(err), After: 5 * time.Second, cause: err}
	}
	var out struct {
		Token   string `json:"access_token"`
		Expires int    `json:"expires_in"`
		Error   string `json:"error"`
		About   string `json:"error_description"`
	}
	if err := json.Unmarshal(body, &out); err != nil || res.StatusCode != http.StatusOK || out.Token == "" {
		if res.StatusCode >= 500 {
			return "", &trouble{Code: codeUnavailable, Words: res.Status, After: 5 * time.Second}
		}
		return "", &trouble{Code: codeKeyRefused, Words: clip(strings.TrimSpace(out.Error+" "+out.About), 300), After: time.Minute}
	}
	s.token, s.ends = out.Token, time.Now().Add(time.Duration(out.Expires)*time.Second-time.Minute)
	return s.token, nil
}

// assertion is a JSON Web Token that says who we are (RFC 7519, RS256).
func (s *serviceAccount) assertion() (string, error) {
	now := s.now().Unix()
	part := func(v any) string {
		b, _ := json.Marshal(v) // maps of strings and numbers
		return base64.RawURLEncoding.EncodeToString(b)
	}
	text := part(map[string]string{"alg": "RS256", "typ": "JWT", "kid": s.keyID}) + "." +
		part(map[string]any{"iss": s.email, "scope": scopes, "aud": s.tokenURI, "iat": now, "exp": now + 3600})
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign assertion: %w", err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig), nil
}

// plainCause is an error of the network without addresses that would only fill the screen.
func plainCause(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		return clip(u.Err.Error(), 300)
	}
	return clip(err.Error(), 300)
}
