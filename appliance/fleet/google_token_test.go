package fleet

import (
	"encoding/json"
	"testing"
)

// A key file leads nowhere but to Google: what it names is sent a signed assertion, and told from here what only we can reach.
func TestKeyFileLeadsOnlyToGoogle(t *testing.T) {
	w := newHouse(t)
	file := func(token string) GoogleInput {
		b, err := json.Marshal(keyFile{Type: "service_account", Project: "p", KeyID: "k", Key: "-----BEGIN PRIVATE KEY-----", ClientEmail: "a@p.iam.gserviceaccount.com", TokenURI: token})
		if err != nil {
			t.Fatal(err)
		}
		return GoogleInput{Kind: GoogleOwn, KeyFile: string(b)}
	}
	for _, to := range []string{"", "https://evil.example/token", "http://oauth2.googleapis.com/token", "https://oauth2.googleapis.com.evil.example/token", "https://evil.example/oauth2.googleapis.com",
		"https://oauth2.googleapis.com@evil.example/token", "https://oauth2.googleapis.com:8443/token", "http://127.0.0.1:9200/", "https://169.254.169.254/token", "https://oauth2.googleapis.com/token?x=1", "file:///etc/passwd"} {
		_, err := w.SaveGoogle(t.Context(), w.owner, file(to))
		wantField(t, err, "key_file", "google.key-file")
	}
	for _, to := range []string{"https://oauth2.googleapis.com/token", "https://OAUTH2.googleapis.com:443/token", "https://accounts.google.com/o/oauth2/token"} {
		if _, err := w.SaveGoogle(t.Context(), w.owner, file(to)); err != nil {
			t.Errorf("%s: %v", to, err)
		}
	}
	_, err := w.SaveGoogle(t.Context(), w.owner, GoogleInput{Kind: GoogleRelay, RelayURL: "http://127.0.0.1:9200", RelaySecret: "x"})
	wantField(t, err, "relay_url", "input.https")
	if !GoogleToken("https://127.0.0.1:4443/token", "https://127.0.0.1:4443") || GoogleToken("https://127.0.0.1:4444/token", "https://127.0.0.1:4443") {
		t.Error("a stand-in is not told from its neighbour")
	}
}
