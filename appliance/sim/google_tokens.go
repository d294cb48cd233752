package sim

import (
	"encoding/json"
	"maps"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"time"
)

// enrolmentToken is one enrolment token. Its value is the secret that a device shows.
type enrolmentToken struct {
	name, value string
	fields      dict // as they were asked for
	policy      string
	oneTime     bool
	expires     time.Time
	used        bool
}

// The kinds of use that a token allows.
const (
	usageAllowed    = "PERSONAL_USAGE_ALLOWED"
	usageDisallowed = "PERSONAL_USAGE_DISALLOWED"
	usageUserless   = "PERSONAL_USAGE_DISALLOWED_USERLESS"
)

const (
	agentComponent = "com.google.android.apps.work.clouddpc/.receivers.CloudDeviceAdminReceiver"
	agentChecksum  = "I5YvS0O5hXY46mb01BlRjq4oJJGs2kuUcHvVkAPEXlg"
	agentExtra     = "com.google.android.apps.work.clouddpc.EXTRA_ENROLLMENT_TOKEN"
	extraPrefix    = "android.app.extra.PROVISIONING_"
)

// qr is the text that a QR code for a factory-new device holds.
func (t *enrolmentToken) qr() string {
	b, err := json.Marshal(dict{extraPrefix + "DEVICE_ADMIN_COMPONENT_NAME": agentComponent, extraPrefix + "DEVICE_ADMIN_SIGNATURE_CHECKSUM": agentChecksum,
		extraPrefix + "DEVICE_ADMIN_PACKAGE_DOWNLOAD_LOCATION": "https://play.google.com/managed/downloadManagingApp?identifier=setup",
		extraPrefix + "ADMIN_EXTRAS_BUNDLE":                    dict{agentExtra: t.value}})
	if err != nil {
		panic(err) // strings can be written
	}
	return string(b)
}

// partial is what get and list show.
func (t *enrolmentToken) partial() dict {
	return dict{"name": t.name, "value": t.value, "qrCode": t.qr(), "expirationTimestamp": stamp(t.expires), "allowPersonalUsage": str(t.fields, "allowPersonalUsage")}
}

func (t *enrolmentToken) alive(now time.Time) bool { return now.Before(t.expires) && !t.used }

func (g *Google) createToken(e *enterprise, c *call) (dict, *googleError) {
	t := &enrolmentToken{fields: clone(c.body), oneTime: c.body["oneTimeOnly"] == true}
	life := time.Hour
	if s := str(c.body, "duration"); s != "" {
		d, ref := durationOf(s)
		if ref != nil || d < time.Minute {
			return nil, invalid("duration must be between 1 minute and 10000 years.")
		}
		life = d
	}
	if len([]rune(str(c.body, "additionalData"))) > 1024 {
		return nil, invalid("additional_data is longer than 1024 characters.")
	}
	t.policy = str(c.body, "policyName")
	switch {
	case t.policy == "":
		t.policy = e.name + "/policies/default"
	case !strings.Contains(t.policy, "/"):
		t.policy = e.name + "/policies/" + t.policy
	case !strings.HasPrefix(t.policy, e.name+"/policies/"):
		return nil, invalid("The policy %q does not belong to the enterprise.", t.policy)
	}
	if e.policies[t.policy] == nil {
		g.complain("a token was made for the policy %s, which does not exist", t.policy)
	}
	if u := str(c.body, "allowPersonalUsage"); u == "" || u == "ALLOW_PERSONAL_USAGE_UNSPECIFIED" {
		g.complain("a token leaves personal usage open")
	}
	t.expires = g.now().Add(life)
	t.name = e.name + "/enrollmentTokens/" + g.name("T")
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	n := new(big.Int).SetBytes(randomBytes(16))
	for range 20 {
		var digit big.Int
		n.DivMod(n, big.NewInt(26), &digit)
		t.value += string(letters[digit.Int64()])
	}
	e.tokens[t.name] = t
	v := clone(t.fields)
	maps.Copy(v, t.partial())
	v["policyName"] = t.policy
	v["duration"] = str(c.body, "duration")
	if v["duration"] == "" {
		v["duration"] = "3600s"
	}
	return v, nil
}

// durationOf reads a duration such as 86400s. What is longer than Go can count becomes the longest that it can.
func durationOf(s string) (time.Duration, *googleError) {
	d, err := time.ParseDuration(s)
	if err == nil {
		return d, nil
	}
	if durationForm.MatchString(s) && !strings.HasPrefix(s, "-") {
		return 290 * 365 * 24 * time.Hour, nil
	}
	return 0, invalid("%q is no duration.", s)
}

func (g *Google) tokenOf(e *enterprise, c *call) (*enrolmentToken, *googleError) {
	t := e.tokens[e.name+"/enrollmentTokens/"+c.parts[1]]
	if t == nil || !t.alive(g.now()) {
		return nil, notThere("enrollment token")
	}
	return t, nil
}

func (g *Google) getToken(e *enterprise, c *call) (dict, *googleError) {
	t, ref := g.tokenOf(e, c)
	if ref != nil {
		return nil, ref
	}
	return t.partial(), nil
}

func (g *Google) listTokens(e *enterprise, c *call) (dict, *googleError) {
	var all []dict
	for _, name := range slices.Sorted(maps.Keys(e.tokens)) {
		if t := e.tokens[name]; t.alive(g.now()) {
			all = append(all, t.partial())
		}
	}
	return pageOf(c, "enrollmentTokens", all, 10, 100)
}

func (g *Google) deleteToken(e *enterprise, c *call) (dict, *googleError) {
	t, ref := g.tokenOf(e, c)
	if ref != nil {
		return nil, ref
	}
	delete(e.tokens, t.name)
	return dict{}, nil
}

// createWebToken makes the token for the page of Play that can be embedded.
func (g *Google) createWebToken(e *enterprise, c *call) (dict, *googleError) {
	frame := str(c.body, "parentFrameUrl")
	if u, err := url.Parse(frame); err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, invalid("parent_frame_url must be an https address.")
	}
	v := clone(c.body)
	v["name"], v["value"] = e.name+"/webTokens/"+g.name("W"), "wt-"+strings.ToLower(newUUID())
	return v, nil
}
