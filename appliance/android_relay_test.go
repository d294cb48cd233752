package appliance

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// googleToken exchanges an assertion by the stand-in's service account for a token, as a relay does.
func googleToken(t *testing.T, g *sim.Google, c *http.Client) string {
	t.Helper()
	var in map[string]string
	if err := json.Unmarshal(g.ServiceAccount(), &in); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(in["private_key"]))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	part := func(v any) string {
		b, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(b)
	}
	now := time.Now().Unix()
	text := part(map[string]string{"alg": "RS256", "typ": "JWT", "kid": in["private_key_id"]}) + "." + part(map[string]any{"iss": in["client_email"], "aud": g.TokenURL(), "iat": now, "exp": now + 3600,
		"scope": "https://www.googleapis.com/auth/androidmanagement https://www.googleapis.com/auth/pubsub"})
	sum := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, key.(*rsa.PrivateKey), crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.PostForm(g.TokenURL(), url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {text + "." + base64.RawURLEncoding.EncodeToString(sig)}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil || out.Token == "" {
		t.Fatalf("no token: %s, %v", res.Status, err)
	}
	return out.Token
}

// Through a relay that holds the service account, with nothing but its address and a secret, an Android enrols. One that is deleted at Google is missed
// in the list, asked for by name, and closed.
func TestAndroidThroughRelay(t *testing.T) {
	w := &androids{}
	w.world, w.google = newWorldWithGoogle(t, func(*Config) {})
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.google.Roots()}}}
	token := googleToken(t, w.google, c)
	target, err := url.Parse(w.google.URL())
	if err != nil {
		t.Fatal(err)
	}
	var strangers atomic.Int64
	forward := &httputil.ReverseProxy{Transport: c.Transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Set("Authorization", "Bearer "+token)
	}}
	relay := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer between us" {
			strangers.Add(1)
			http.Error(rw, "who are you", http.StatusUnauthorized)
			return
		}
		forward.ServeHTTP(rw, r)
	}))
	t.Cleanup(relay.Close)
	a := w.Appliance.android
	if _, err := a.Connect(t.Context(), w.Actor, fleet.GoogleInput{Kind: fleet.GoogleRelay, RelayURL: relay.URL, RelaySecret: "between us", Project: w.google.Project()}); err != nil {
		t.Fatal(err)
	}
	page, err := a.SignUp(t.Context(), w.Actor)
	if err != nil {
		t.Fatal(err)
	}
	back, err := w.google.SignUp(t.Context(), page)
	if err != nil {
		t.Fatal(err)
	}
	res, err := w.browser().Get(back)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	phone, id := w.phone("Anna", fleet.ModeWorkProfile, sim.AndroidOptions{Seed: 71, Password: "2580"})
	w.eventually("the phone is managed", func() bool { return w.state(id) == fleet.Managed })
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, w.google.URL()+"/v1/"+phone.State().Name, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if res, err = c.Do(req); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("deleting it at Google: %v, %v", res, err)
	}
	res.Body.Close()
	w.eventually("its end was noticed", func() bool { return w.state(id) != fleet.Managed })
	if n := strangers.Load(); n > 0 {
		t.Errorf("%d calls came without the secret", n)
	}
}
