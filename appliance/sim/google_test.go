package sim_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"muster/appliance/sim"
)

// googleClient talks to the stand-in as a server does that was written from Google's documentation.
type googleClient struct {
	t          *testing.T
	g          *sim.Google
	http       *http.Client
	token      string
	enterprise string
}

type object = map[string]any

// newGoogle starts a stand-in and signs in. signedUp says whether an enterprise with notifications is made too.
func newGoogle(t *testing.T, signedUp bool) *googleClient {
	t.Helper()
	g, err := sim.NewGoogle()
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: g.Roots()}}
	t.Cleanup(func() { transport.CloseIdleConnections(); g.Close() })
	c := &googleClient{t: t, g: g, http: &http.Client{Transport: transport, Timeout: 40 * time.Second}}
	c.signIn()
	if signedUp {
		c.signUp()
	}
	return c
}

// assertion signs a statement with the key of the service account.
func (c *googleClient) assertion(change func(object)) string {
	c.t.Helper()
	var key struct {
		PrivateKey  string `json:"private_key"`
		PrivateID   string `json:"private_key_id"`
		ClientEmail string `json:"client_email"`
		TokenURI    string `json:"token_uri"`
	}
	if err := json.Unmarshal(c.g.ServiceAccount(), &key); err != nil {
		c.t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(key.PrivateKey))
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		c.t.Fatal(err)
	}
	now := time.Now()
	claims := object{"iss": key.ClientEmail, "aud": key.TokenURI, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"scope": "https://www.googleapis.com/auth/androidmanagement https://www.googleapis.com/auth/pubsub"}
	if change != nil {
		change(claims)
	}
	var parts []string
	for _, v := range []object{{"alg": "RS256", "typ": "JWT", "kid": key.PrivateID}, claims} {
		b, _ := json.Marshal(v)
		parts = append(parts, base64.RawURLEncoding.EncodeToString(b))
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, ".")))
	sig, err := rsa.SignPKCS1v15(rand.Reader, parsed.(*rsa.PrivateKey), crypto.SHA256, sum[:])
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.Join(parts, ".") + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func (c *googleClient) exchange(assertion string) (int, object) {
	c.t.Helper()
	resp, err := c.http.PostForm(c.g.TokenURL(), url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}})
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	var v object
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		c.t.Fatal(err)
	}
	return resp.StatusCode, v
}

func (c *googleClient) signIn() {
	c.t.Helper()
	code, v := c.exchange(c.assertion(nil))
	if code != http.StatusOK {
		c.t.Fatalf("token: %d %v", code, v)
	}
	c.token = v["access_token"].(string)
}

// try makes one call and returns status and body.
func (c *googleClient) try(method, path string, body any) (int, object) {
	c.t.Helper()
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		in = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, c.g.URL()+"/v1/"+path, in)
	if err != nil {
		c.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	var v object
	_ = json.NewDecoder(resp.Body).Decode(&v) // an HTML page leaves it empty
	return resp.StatusCode, v
}

// do makes a call that must succeed.
func (c *googleClient) do(method, path string, body any) object {
	c.t.Helper()
	code, v := c.try(method, path, body)
	if code != http.StatusOK {
		c.t.Fatalf("%s %s: %d %v", method, path, code, v)
	}
	return v
}

// refused makes a call that must fail in a certain way, and returns the message.
func (c *googleClient) refused(code int, status, method, path string, body any) string {
	c.t.Helper()
	got, v := c.try(method, path, body)
	e, _ := v["error"].(object)
	if got != code || e["status"] != status || e["code"] != float64(code) {
		c.t.Fatalf("%s %s: %d %v, want %d %s", method, path, got, v, code, status)
	}
	return e["message"].(string)
}

const (
	simTopic = "projects/sim-project/topics/amapi"
	simSub   = "projects/sim-project/subscriptions/muster"
)

func (c *googleClient) signUp() {
	c.t.Helper()
	c.do("PUT", simTopic, object{})
	policy := c.do("GET", simTopic+":getIamPolicy", nil)
	policy["bindings"] = []any{object{"role": "roles/pubsub.publisher", "members": []any{"serviceAccount:android-cloud-policy@system.gserviceaccount.com"}}}
	c.do("POST", simTopic+":setIamPolicy", object{"policy": policy})
	c.do("PUT", simSub, object{"topic": simTopic, "ackDeadlineSeconds": 60})
	up := c.do("POST", "signupUrls?projectId=sim-project&callbackUrl="+url.QueryEscape("https://mdm.example.com/back?state=1"), nil)
	back, err := c.g.SignUp(c.t.Context(), up["url"].(string))
	if err != nil {
		c.t.Fatal(err)
	}
	u, err := url.Parse(back)
	if err != nil || u.Query().Get("state") != "1" {
		c.t.Fatalf("callback %q: %v", back, err)
	}
	e := c.do("POST", "enterprises?projectId=sim-project&signupUrlName="+up["name"].(string)+"&enterpriseToken="+u.Query().Get("enterpriseToken"),
		object{"enterpriseDisplayName": "Example", "pubsubTopic": simTopic, "enabledNotificationTypes": []string{"ENROLLMENT", "STATUS_REPORT", "COMMAND", "USAGE_LOGS"}})
	c.enterprise = e["name"].(string)
	if n := c.pull(); len(n) != 1 || n[0].kind != "TEST" {
		c.t.Fatalf("after the sign-up came %v", n)
	}
}

type notice struct {
	id, kind string
	data     object
}

// pull takes and acknowledges what waits.
func (c *googleClient) pull() []notice {
	c.t.Helper()
	var out []notice
	var ids []any
	v := c.do("POST", simSub+":pull", object{"maxMessages": 100, "returnImmediately": true})
	list, _ := v["receivedMessages"].([]any)
	for _, r := range list {
		m := r.(object)["message"].(object)
		n := notice{id: m["messageId"].(string), kind: m["attributes"].(object)["notificationType"].(string)}
		if s, ok := m["data"].(string); ok {
			b, _ := base64.StdEncoding.DecodeString(s)
			if err := json.Unmarshal(b, &n.data); err != nil {
				c.t.Fatal(err)
			}
		}
		out = append(out, n)
		ids = append(ids, r.(object)["ackId"])
	}
	if len(ids) > 0 {
		c.do("POST", simSub+":acknowledge", object{"ackIds": ids})
	}
	return out
}

// policy sets a policy and returns its version.
func (c *googleClient) policy(id string, fields object) string {
	c.t.Helper()
	return c.do("PATCH", c.enterprise+"/policies/"+id, fields)["version"].(string)
}

func (c *googleClient) enrolmentToken(policy, usage string) string {
	c.t.Helper()
	v := c.do("POST", c.enterprise+"/enrollmentTokens", object{"policyName": policy, "oneTimeOnly": true, "allowPersonalUsage": usage, "duration": "86400s", "additionalData": `{"t":1}`})
	if !strings.Contains(v["qrCode"].(string), v["value"].(string)) {
		c.t.Errorf("the code %v does not hold the token", v["qrCode"])
	}
	return v["value"].(string)
}

// phone enrols a simulated Android by token.
func (c *googleClient) phone(o sim.AndroidOptions, policy, usage string) *sim.Android {
	c.t.Helper()
	o.Google = c.g
	d := sim.NewAndroid(o)
	if err := d.EnrolToken(c.t.Context(), c.enrolmentToken(policy, usage)); err != nil {
		c.t.Fatal(err)
	}
	return d
}

var gmail = object{"packageName": "com.google.android.gm", "installType": "FORCE_INSTALLED",
	"managedConfiguration": object{"email_address": "ada@example.com", "exchange_host": "mail.example.com", "exchange_username": "ada", "exchange_ssl_required": true}}

var reporting = object{"applicationReportsEnabled": true, "softwareInfoEnabled": true, "networkInfoEnabled": true, "deviceSettingsEnabled": true, "memoryInfoEnabled": true}

func TestAndroidWorkProfile(t *testing.T) {
	c := newGoogle(t, true)
	version := c.policy("p1", object{"applications": []any{gmail}, "statusReportingSettings": reporting})
	d := c.phone(sim.AndroidOptions{PersonalApps: []string{"com.whatsapp"}}, "p1", "PERSONAL_USAGE_ALLOWED")
	s := d.State()
	if s.Mode != sim.AndroidWorkProfile || !s.Compliant || len(s.Mail) != 1 || s.Mail[0].Address != "ada@example.com" || s.Mail[0].Problem != "" {
		t.Fatalf("state %+v", s)
	}
	got := c.pull()
	if len(got) != 2 || got[0].kind != "ENROLLMENT" || got[0].data["enrollmentTokenData"] != `{"t":1}` || got[1].kind != "STATUS_REPORT" || got[1].data["appliedPolicyVersion"] != version {
		t.Fatalf("notifications %v", got)
	}
	hw := got[1].data["hardwareInfo"].(object)
	if hw["serialNumber"] != hw["enterpriseSpecificId"] || hw["serialNumber"] == s.Serial || got[1].data["networkInfo"] != nil || got[1].data["policyCompliant"] != true {
		t.Errorf("a personal phone reports %v", got[1].data)
	}
	if again := c.policy("p1", object{"applications": []any{gmail}, "statusReportingSettings": reporting}); again != version {
		t.Errorf("a patch without effect made version %s", again)
	}

	op := c.do("POST", s.Name+":issueCommand", object{"type": "WIPE", "duration": "315360000s", "wipeParams": object{}})
	if err := d.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := d.State(); s.Enrolled || s.Wiped != "work profile removed" || len(s.PersonalApps) != 1 || len(s.Apps) != 0 {
		t.Errorf("after the wipe: %+v", s)
	}
	got = c.pull()
	if len(got) != 2 || got[0].kind != "COMMAND" || got[0].data["name"] != op["name"] || got[0].data["done"] != true || got[1].data["appliedState"] != "DELETED" {
		t.Errorf("after the wipe came %v", got)
	}
	c.refused(404, "NOT_FOUND", "GET", s.Name, nil)
}

func TestGoogleIsStrict(t *testing.T) {
	c := newGoogle(t, true)
	at := c.enterprise + "/policies/p"
	for want, body := range map[string]object{
		`Unknown name "colour" at 'policy'`:                   {"colour": 1},
		`Invalid value at 'policy.maximum_time_to_lock'`:      {"maximumTimeToLock": 300000},
		`Invalid value at 'policy.play_store_mode'`:           {"playStoreMode": "GREYLIST"},
		`Invalid value at 'policy.screen_capture_disabled'`:   {"screenCaptureDisabled": "true"},
		`Proto field is not repeating`:                        {"applications": object{}},
		`Field policy.version is output only`:                 {"version": "3"},
		`Unknown name "x" at 'policy.applications[0]'`:        {"applications": []any{object{"packageName": "a.b", "x": 1}}},
		`block_after_days must be less`:                       {"policyEnforcementRules": []any{object{"settingName": "passwordPolicies", "blockAction": object{"blockAfterDays": 3}, "wipeAction": object{"wipeAfterDays": 3}}}},
		`Both block_action and wipe_action`:                   {"policyEnforcementRules": []any{object{"settingName": "passwordPolicies", "blockAction": object{"blockAfterDays": 3}}}},
		`unified_lock_settings applies to SCOPE_PROFILE only`: {"passwordPolicies": []any{object{"passwordScope": "SCOPE_DEVICE", "unifiedLockSettings": "REQUIRE_SEPARATE_WORK_LOCK"}}},
		`listed twice`: {"applications": []any{object{"packageName": "a.b"}, object{"packageName": "a.b"}}},
		`The kiosk app must be REQUIRED_FOR_SETUP or CUSTOM`: {"applications": []any{object{"packageName": "a.b", "roles": []any{object{"roleType": "KIOSK"}}}}},
	} {
		if got := c.refused(400, "INVALID_ARGUMENT", "PATCH", at, body); !strings.Contains(got, want) {
			t.Errorf("%v: %q does not say %q", body, got, want)
		}
	}
	_, v := c.try("PATCH", at, object{"colour": 1})
	details := v["error"].(object)["details"].([]any)[0].(object)
	if details["@type"] != "type.googleapis.com/google.rpc.BadRequest" || details["fieldViolations"].([]any)[0].(object)["field"] != "policy" {
		t.Errorf("details %v", details)
	}
	c.refused(400, "INVALID_ARGUMENT", "PATCH", at+"?updateMask=colour", object{})
	c.refused(400, "INVALID_ARGUMENT", "PATCH", at+"?mask=cameraDisabled", object{})
	c.refused(400, "INVALID_ARGUMENT", "GET", c.enterprise+"/devices?pageSize=many", nil)
	c.refused(400, "INVALID_ARGUMENT", "POST", c.enterprise+"/enrollmentTokens", object{"value": "ABC"})
	c.refused(400, "INVALID_ARGUMENT", "POST", c.enterprise+"/enrollmentTokens", object{"duration": "10s"})
	c.refused(400, "INVALID_ARGUMENT", "POST", c.enterprise+"/webTokens", object{"parentFrameUrl": "http://x"})
	c.refused(403, "PERMISSION_DENIED", "GET", "enterprises/LCother/policies/p", nil)
	c.refused(404, "NOT_FOUND", "GET", at, nil)
	if code, v := c.try("GET", "nowhere", nil); code != 404 || v != nil {
		t.Errorf("an unknown path answered %d %v", code, v)
	}

	// A mask names what is taken from the body; what it names and the body lacks is cleared.
	c.policy("p", object{"cameraDisabled": true, "screenCaptureDisabled": true})
	got := c.do("PATCH", at+"?updateMask=cameraDisabled,maximumTimeToLock", object{"maximumTimeToLock": "60000"})
	if got["cameraDisabled"] != nil || got["screenCaptureDisabled"] != true || got["maximumTimeToLock"] != "60000" || got["version"] != "2" {
		t.Errorf("the masked patch made %v", got)
	}
}
