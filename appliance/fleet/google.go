package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"muster/store"
)

// Ways to speak to Google.
const (
	GoogleOwn   = "own"   // with a service account of the organisation's own Google project
	GoogleRelay = "relay" // through a server that holds such an account, with a secret that it gave us
)

// GoogleAccount is what is known of the connection to Google, through which Android devices are managed. It holds no secret.
type GoogleAccount struct {
	Kind         string    `json:"kind"`
	Project      string    `json:"project"`
	ClientEmail  string    `json:"client_email,omitempty"` // of the service account
	KeyID        string    `json:"key_id,omitempty"`
	RelayURL     string    `json:"relay_url,omitempty"`
	Enterprise   string    `json:"enterprise,omitempty"`   // "enterprises/LC…"; empty until the organisation has signed up
	Topic        string    `json:"topic,omitempty"`        // "projects/P/topics/T"; empty: devices are polled
	Subscription string    `json:"subscription,omitempty"` // "projects/P/subscriptions/S"
	Connected    time.Time `json:"connected,omitzero"`
	By           string    `json:"by"`
}

// Ready says whether devices can be managed.
func (g *GoogleAccount) Ready() bool { return g != nil && g.Enterprise != "" }

// GoogleInput connects to Google, or changes the connection: an empty secret leaves the kept one.
type GoogleInput struct {
	Kind         string `json:"kind"`
	KeyFile      string `json:"key_file,omitempty"` // the service account's key, JSON as Google gives it
	RelayURL     string `json:"relay_url,omitempty"`
	RelaySecret  string `json:"relay_secret,omitempty"`
	Project      string `json:"project,omitempty"` // "" = the service account's
	Topic        string `json:"topic,omitempty"`
	Subscription string `json:"subscription,omitempty"`
	Enterprise   string `json:"enterprise,omitempty"` // of an organisation that has signed up before; "" = unchanged
}

// googleRecord is the connection as stored.
type googleRecord struct {
	GoogleAccount
	Secret      []byte     `json:"secret"` // sealed: the key file, or the relay's secret
	SignUp      string     `json:"sign_up,omitempty"`
	SignUpHash  []byte     `json:"sign_up_hash,omitempty"` // of the state that comes back with the browser
	SignUpBy    string     `json:"sign_up_by,omitempty"`
	SignUpUntil *time.Time `json:"sign_up_until,omitempty"`
}

// googleID is the id of the only record.
const googleID = "google"

var googleAccounts = store.Define("gc", func(*googleRecord) string { return googleID })

const (
	googleKeyMost  = 16 << 10
	signUpLifetime = time.Hour
)

// readGoogle returns nil, nil when there is no connection yet.
func readGoogle(tx store.Tx) (*googleRecord, error) {
	r, err := googleAccounts.Get(tx, googleID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	return r, err
}

// keyFile is what is read of a service account's key: https://cloud.google.com/iam/docs/keys-create-delete describes the file.
type keyFile struct {
	Type        string `json:"type"`
	Project     string `json:"project_id"`
	KeyID       string `json:"private_key_id"`
	Key         string `json:"private_key"`
	ClientEmail string `json:"client_email"`
	TokenURI    string `json:"token_uri"`
}

// SaveGoogle connects to Google or changes the connection. While Android devices are managed, another organisation is refused: they belong to
// the one that they enrolled under.
func (f *Fleet) SaveGoogle(ctx context.Context, a Actor, in GoogleInput) (*GoogleAccount, error) {
	if err := needWhole(a, SettingsEdit); err != nil {
		return nil, err
	}
	bad := faults{}
	bad.oneOf("kind", in.Kind, []string{GoogleOwn, GoogleRelay})
	var key keyFile
	secret := ""
	switch in.Kind {
	case GoogleOwn:
		if secret = strings.TrimSpace(in.KeyFile); secret != "" {
			if len(secret) > googleKeyMost || json.Unmarshal([]byte(secret), &key) != nil || key.Type != "service_account" ||
				key.ClientEmail == "" || !strings.Contains(key.Key, "PRIVATE KEY") || !GoogleToken(key.TokenURI, f.googleStandIn) {
				bad.put("key_file", "google.key-file")
			}
		}
	case GoogleRelay:
		secret = strings.TrimSpace(in.RelaySecret)
		if !f.relayURL(in.RelayURL) {
			bad.put("relay_url", "input.https")
		}
		bad.line("relay_secret", secret, 0, 1000)
	}
	if in.Topic != "" && !resourceName(in.Topic, "projects", "topics") {
		bad.put("topic", "google.topic")
	}
	if in.Subscription != "" && !resourceName(in.Subscription, "projects", "subscriptions") {
		bad.put("subscription", "google.subscription")
	}
	if in.Topic != "" && in.Subscription == "" {
		bad.put("subscription", "input.required")
	}
	if in.Enterprise != "" && !resourceName(in.Enterprise, "enterprises") {
		bad.put("enterprise", "google.enterprise")
	}
	bad.line("project", in.Project, 0, 100)
	if err := bad.refuse("google.invalid"); err != nil {
		return nil, err
	}
	return updated(ctx, f, func(tx store.Tx) (*GoogleAccount, error) {
		old, err := readGoogle(tx)
		if err != nil {
			return nil, err
		}
		r := &googleRecord{}
		var before any
		if old != nil {
			*r = *old
			before = old.GoogleAccount
		}
		// A secret goes only where it was given for: with the kept one, the address of a relay stays.
		if secret == "" && (old == nil || old.Kind != in.Kind || in.Kind == GoogleRelay && old.RelayURL != strings.TrimRight(in.RelayURL, "/")) {
			field := map[string]string{GoogleOwn: "key_file", GoogleRelay: "relay_secret"}[in.Kind]
			return nil, refuseField(ErrInvalid, field, Why("input.required"))
		}
		r.Kind, r.RelayURL, r.Topic, r.Subscription = in.Kind, "", in.Topic, in.Subscription
		switch {
		case in.Kind == GoogleRelay:
			r.RelayURL, r.ClientEmail, r.KeyID = strings.TrimRight(in.RelayURL, "/"), "", ""
		case secret != "":
			r.ClientEmail, r.KeyID, r.Project = clip(key.ClientEmail, 200), clip(key.KeyID, 100), clip(key.Project, 100)
		}
		if in.Project != "" {
			r.Project = in.Project
		}
		if in.Enterprise != "" && in.Enterprise != r.Enterprise {
			if err := noAndroids(tx); err != nil {
				return nil, err
			}
			r.Enterprise = in.Enterprise
		}
		if secret != "" {
			r.Secret = f.db.Sealer().Seal(googleAccounts.Name(), googleID, []byte(secret))
		}
		if r.Connected.IsZero() {
			r.Connected = f.now().UTC()
		}
		r.By = a.Name
		if err := f.keepGoogle(tx, a, before, r); err != nil {
			return nil, err
		}
		if notified := old != nil && old.Subscription != ""; notified != (r.Subscription != "") {
			return &r.GoogleAccount, f.frameChanged(tx) // network logs can reach us from now on, or no longer
		}
		return &r.GoogleAccount, nil
	})
}

func (f *Fleet) keepGoogle(tx store.Tx, a Actor, before any, r *googleRecord) error {
	if err := googleAccounts.Put(tx, r); err != nil {
		return err
	}
	f.publish(tx, "settings", "")
	return f.recordSave(tx, a, "google-account", r.Project, nil, before, r.GoogleAccount)
}

// googleTokenHosts are where Google exchanges assertions for tokens. A key file of whatever age names one of them.
var googleTokenHosts = []string{"oauth2.googleapis.com", "accounts.google.com", "www.googleapis.com"}

// GoogleToken says whether an assertion may be sent to an address that a key file names: to Google, or to the stand-in that a demonstration
// speaks to ("" = none). A file that names another place would send that place what opens the account, and us to whatever it likes.
func GoogleToken(address, standIn string) bool {
	u, ok := plainURL(address)
	if !ok || u.Scheme != "https" {
		return false
	}
	if s, err := url.Parse(standIn); err == nil && standIn != "" && u.Host == s.Host {
		return true
	}
	return slices.Contains(googleTokenHosts, strings.TrimSuffix(strings.ToLower(u.Host), ":443"))
}

// relayURL takes https addresses, and beside a stand-in for Google http ones of this machine.
func (f *Fleet) relayURL(s string) bool {
	u, ok := plainURL(s)
	if !ok {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || f.googleStandIn != "" && u.Scheme == "http" && ip != nil && ip.IsLoopback()
}

// plainURL reads an address that holds no user, query or fragment.
func plainURL(s string) (*url.URL, bool) {
	u, err := url.Parse(s)
	return u, err == nil && u.User == nil && u.Host != "" && u.Fragment == "" && u.RawQuery == ""
}

// resourceName checks "kind/id", or "kind/id/kind/id".
func resourceName(s string, kinds ...string) bool {
	parts := strings.Split(s, "/")
	if len(parts) != 2*len(kinds) || len(s) > 300 {
		return false
	}
	for i, k := range kinds {
		id := parts[2*i+1]
		if parts[2*i] != k || id == "" || strings.Trim(strings.ToLower(id), "abcdefghijklmnopqrstuvwxyz0123456789-_.~+%:") != "" {
			return false
		}
	}
	return true
}

// noAndroids refuses while an Android device is managed.
func noAndroids(tx store.Tx) error {
	return devices.Each(tx, store.Query{Index: "platform", Value: string(Android)}, func(d *Device) (bool, error) {
		if !d.State.ended() {
			return false, Refuse(ErrConflict, "google.devices", "device", d.Name)
		}
		return true, nil
	})
}

// Google tells of the connection to Google; nil, nil when there is none.
func (f *Fleet) Google(ctx context.Context, a Actor) (*GoogleAccount, error) {
	if err := need(a, SettingsRead); err != nil {
		return nil, err
	}
	return f.google(ctx)
}

func (f *Fleet) google(ctx context.Context) (*GoogleAccount, error) {
	return viewed(ctx, f, func(tx store.Tx) (*GoogleAccount, error) {
		r, err := readGoogle(tx)
		if err != nil || r == nil {
			return nil, err
		}
		return &r.GoogleAccount, nil
	})
}

// GoogleAccess is the connection with its secret, opened, for the platform package; ErrNotFound "google.none" when there is none. It is read anew
// when it is used, so that another key counts at once.
func (f *Fleet) GoogleAccess(ctx context.Context) (*GoogleAccount, []byte, error) {
	var acc *GoogleAccount
	var secret []byte
	err := f.db.View(ctx, func(tx store.Tx) error {
		r, err := readGoogle(tx)
		if err != nil {
			return err
		}
		if r == nil {
			return Refuse(ErrNotFound, "google.none")
		}
		acc = &r.GoogleAccount
		if secret, err = f.db.Sealer().Open(googleAccounts.Name(), googleID, r.Secret); err != nil {
			return fmt.Errorf("open the secret for Google: %w", err)
		}
		return nil
	})
	return acc, secret, err
}

// BeginGoogleSignUp remembers a sign-up under way and returns the state that has to come back with the browser.
func (f *Fleet) BeginGoogleSignUp(ctx context.Context, a Actor) (string, error) {
	if err := needWhole(a, SettingsEdit); err != nil {
		return "", err
	}
	state := randomCode(32)
	err := f.db.Update(ctx, func(tx store.Tx) error {
		r, err := readGoogle(tx)
		if err != nil {
			return err
		}
		if r == nil {
			return Refuse(ErrNotFound, "google.none")
		}
		if r.Enterprise != "" {
			return Refuse(ErrConflict, "google.signed-up", "enterprise", r.Enterprise)
		}
		until := f.now().UTC().Add(signUpLifetime)
		r.SignUp, r.SignUpHash, r.SignUpBy, r.SignUpUntil = "", hashSecret(state), a.Name, &until
		if err := googleAccounts.Put(tx, r); err != nil {
			return err
		}
		return f.record(tx, a, "create", "google-sign-up", r.Project, nil, nil, nil)
	})
	return state, err
}

// NameGoogleSignUp tells the name that Google gave the sign-up begun with state.
func (f *Fleet) NameGoogleSignUp(ctx context.Context, state, name string) error {
	return f.db.Update(ctx, func(tx store.Tx) error {
		r, err := f.signUp(tx, state)
		if err != nil {
			return err
		}
		r.SignUp = clip(name, 300)
		return googleAccounts.Put(tx, r)
	})
}

// signUp is the record whose sign-up under way goes by state.
func (f *Fleet) signUp(tx store.Tx, state string) (*googleRecord, error) {
	r, err := readGoogle(tx)
	if err != nil {
		return nil, err
	}
	if r == nil || r.SignUpUntil == nil || hexOf(r.SignUpHash) != hexOf(hashSecret(state)) || state == "" {
		return nil, Refuse(ErrNotFound, "google.sign-up-unknown")
	}
	if !f.now().Before(*r.SignUpUntil) {
		return nil, Refuse(ErrGone, "google.sign-up-late")
	}
	return r, nil
}

// GoogleSignUp is the name of the sign-up that goes by state, and who began it.
func (f *Fleet) GoogleSignUp(ctx context.Context, state string) (name, by string, err error) {
	err = f.db.View(ctx, func(tx store.Tx) error {
		r, err := f.signUp(tx, state)
		if err != nil {
			return err
		}
		name, by = r.SignUp, r.SignUpBy
		return nil
	})
	return name, by, err
}

// EndGoogleSignUp keeps the enterprise that a sign-up has led to. The browser's state is the right to do so: whoever began it had it.
func (f *Fleet) EndGoogleSignUp(ctx context.Context, state, enterprise string) (*GoogleAccount, error) {
	if !resourceName(enterprise, "enterprises") {
		return nil, Refuse(ErrInvalid, "google.enterprise")
	}
	return updated(ctx, f, func(tx store.Tx) (*GoogleAccount, error) {
		r, err := f.signUp(tx, state)
		if err != nil {
			return nil, err
		}
		before := r.GoogleAccount
		who := Actor{Kind: ActorJob, ID: "google-sign-up", Name: r.SignUpBy, Via: "ui"}
		r.Enterprise = enterprise
		r.SignUp, r.SignUpHash, r.SignUpBy, r.SignUpUntil = "", nil, "", nil
		return &r.GoogleAccount, f.keepGoogle(tx, who, before, r)
	})
}

// ForgetGoogle ends the connection. Refused while Android devices are managed.
func (f *Fleet) ForgetGoogle(ctx context.Context, a Actor) error {
	if err := needWhole(a, SettingsEdit); err != nil {
		return err
	}
	return f.db.Update(ctx, func(tx store.Tx) error {
		r, err := readGoogle(tx)
		if err != nil || r == nil {
			return err
		}
		if err := noAndroids(tx); err != nil {
			return err
		}
		if err := googleAccounts.Delete(tx, googleID); err != nil {
			return err
		}
		f.publish(tx, "settings", "")
		return f.record(tx, a, "delete", "google-account", r.Project, nil, r.GoogleAccount, nil)
	})
}

// GoogleCheck is one prerequisite on Google's side: whether it is met, what that means for the organisation, and what to do.
type GoogleCheck struct {
	Code   string `json:"code"`            // "token", "api", "enterprise", "notifications", "quota", "usage", …
	State  string `json:"state"`           // "good", "bad", "unknown"
	Reason Reason `json:"reason,omitzero"` // what was found and what it means
	Do     Reason `json:"do,omitzero"`     // what to do about it, or how to ask Google
	Link   string `json:"link,omitempty"`  // where to do it
	Words  string `json:"words,omitempty"` // Google's own
}

// googleReasonCodes are the codes said here, with the names of their arguments.
func googleReasonCodes() map[string][]string {
	return map[string][]string{
		"google.none":            nil,
		"google.invalid":         nil,
		"google.key-file":        nil,
		"google.topic":           nil,
		"google.subscription":    nil,
		"google.enterprise":      nil,
		"google.devices":         {"device"},
		"google.signed-up":       {"enterprise"},
		"google.sign-up-unknown": nil,
		"google.sign-up-late":    nil,
	}
}
