package sim

import (
	"context"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// signup is a sign-up page that was asked for.
type signup struct {
	callback string
	token    string // given to the callback, once the administrator has signed up
	used     bool
	expires  time.Time
}

// enterprise is one organisation's binding to the project.
type enterprise struct {
	name     string
	fields   dict
	policies map[string]*policy
	tokens   map[string]*enrolmentToken
	devices  map[string]*enrolled
	order    []string // device names by enrolment
	hardware map[string][]string
	webApps  map[string]dict
	gone     bool
}

// googleHandler does what one method asks. g.mu is held.
type googleHandler func(*Google, *call) (dict, *googleError)

var googleMethods = sync.OnceValue(func() map[string]googleHandler {
	return map[string]googleHandler{
		"signupUrls.create": (*Google).createSignup,

		"enterprises.create": (*Google).createEnterprise,
		"enterprises.list":   (*Google).listEnterprises,
		"enterprises.get":    inEnterprise(func(_ *Google, e *enterprise, _ *call) (dict, *googleError) { return e.view(), nil }),
		"enterprises.patch":  inEnterprise((*Google).patchEnterprise),
		"enterprises.delete": inEnterprise((*Google).deleteEnterprise),

		"enterprises.applications.get": inEnterprise((*Google).getApplication),

		"enterprises.policies.get":                      inEnterprise((*Google).getPolicy),
		"enterprises.policies.list":                     inEnterprise((*Google).listPolicies),
		"enterprises.policies.patch":                    inEnterprise((*Google).patchPolicy),
		"enterprises.policies.delete":                   inEnterprise((*Google).deletePolicy),
		"enterprises.policies.modifyPolicyApplications": inEnterprise((*Google).modifyApplications),
		"enterprises.policies.removePolicyApplications": inEnterprise((*Google).removeApplications),

		"enterprises.enrollmentTokens.create": inEnterprise((*Google).createToken),
		"enterprises.enrollmentTokens.get":    inEnterprise((*Google).getToken),
		"enterprises.enrollmentTokens.list":   inEnterprise((*Google).listTokens),
		"enterprises.enrollmentTokens.delete": inEnterprise((*Google).deleteToken),

		"enterprises.devices.get":               inEnterprise((*Google).getDevice),
		"enterprises.devices.list":              inEnterprise((*Google).listDevices),
		"enterprises.devices.patch":             inEnterprise((*Google).patchDevice),
		"enterprises.devices.delete":            inEnterprise((*Google).deleteDevice),
		"enterprises.devices.issueCommand":      inEnterprise((*Google).issueCommand),
		"enterprises.devices.operations.get":    inEnterprise((*Google).getOperation),
		"enterprises.devices.operations.list":   inEnterprise((*Google).listOperations),
		"enterprises.devices.operations.cancel": inEnterprise((*Google).cancelOperation),

		"enterprises.webApps.create": inEnterprise((*Google).createWebApp),
		"enterprises.webApps.get":    inEnterprise((*Google).getWebApp),
		"enterprises.webApps.list":   inEnterprise((*Google).listWebApps),
		"enterprises.webApps.patch":  inEnterprise((*Google).patchWebApp),
		"enterprises.webApps.delete": inEnterprise((*Google).deleteWebApp),

		"enterprises.webTokens.create": inEnterprise((*Google).createWebToken),
	}
})

// inEnterprise finds the enterprise that a call's path begins with.
func inEnterprise(h func(*Google, *enterprise, *call) (dict, *googleError)) googleHandler {
	return func(g *Google, c *call) (dict, *googleError) {
		e := g.enterprises["enterprises/"+c.parts[0]]
		if e == nil || e.gone {
			return nil, refusedWith(http.StatusForbidden, "PERMISSION_DENIED", "The caller does not have permission")
		}
		return h(g, e, c)
	}
}

// project checks the project that a call names.
func (g *Google) projectOf(c *call) *googleError {
	if p := c.query.Get("projectId"); p != g.project {
		return refusedWith(http.StatusForbidden, "PERMISSION_DENIED", fmt.Sprintf("Caller does not have required permission to use project %q.", p))
	}
	return nil
}

func (g *Google) createSignup(c *call) (dict, *googleError) {
	if ref := g.projectOf(c); ref != nil {
		return nil, ref
	}
	callback := c.query.Get("callbackUrl")
	if u, err := url.Parse(callback); err != nil || u.Scheme != "https" || u.Host == "" {
		return nil, invalid("callbackUrl must be an https address.")
	}
	id := g.name("C")
	g.signups["signupUrls/"+id] = &signup{callback: callback, expires: g.now().Add(30 * time.Minute)}
	return dict{"name": "signupUrls/" + id, "url": g.URL() + "/signup?token=" + id}, nil
}

var signUpTemplate = template.Must(template.New("").Parse(`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Stand-in for Google's sign-up</title>
<body style="font:16px system-ui;max-width:36rem;margin:4rem auto;padding:0 1rem"><h1>Sign up for Android only</h1>
<p>This page stands in for Google's. Nothing leaves this computer.</p>
<form method="post"><button type="submit">Complete the sign-up</button></form></body></html>`))

// signUpPage plays the page where an administrator signs the organisation up; its end leads back to the callback.
func (g *Google) signUpPage(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.signups["signupUrls/"+r.URL.Query().Get("token")]
	if s == nil || s.used || g.now().After(s.expires) {
		http.Error(w, "This sign-up link has ended.", http.StatusGone)
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = signUpTemplate.Execute(w, nil) // the browser may have hung up
		return
	}
	s.token = "EA" + strings.ToUpper(newUUID())
	u, err := url.Parse(s.callback)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	q := u.Query()
	q.Set("enterpriseToken", s.token)
	u.RawQuery = q.Encode()
	http.Redirect(w, r, u.String(), http.StatusSeeOther)
}

// SignUp plays the administrator on the sign-up page: it returns the callback address with its enterpriseToken, to be opened in the
// administrator's browser.
func (g *Google) SignUp(ctx context.Context, page string) (string, error) {
	client := &http.Client{Transport: newTransport(g.Roots(), nil), Timeout: timeout, CheckRedirect: noRedirect}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, page, nil)
	if err != nil {
		return "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSeeOther {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, maxPage)) // only to say more
		return "", &StatusError{Code: resp.StatusCode, Body: beginning(b)}
	}
	return resp.Header.Get("Location"), nil
}

func (g *Google) createEnterprise(c *call) (dict, *googleError) {
	if ref := g.projectOf(c); ref != nil {
		return nil, ref
	}
	s := g.signups[c.query.Get("signupUrlName")]
	token := c.query.Get("enterpriseToken")
	switch {
	case c.query.Get("agreementAccepted") != "":
		return nil, invalid("agreementAccepted is for enterprises that the EMM manages.")
	case s == nil || token == "" || s.token != token || s.used || g.now().After(s.expires):
		return nil, invalid("The enterprise token or the sign-up URL is invalid or has expired.")
	case c.body["name"] != nil:
		return nil, invalid("The field enterprise.name is set by the service.")
	}
	e := &enterprise{name: "enterprises/" + g.name("LC"), fields: dict{}, policies: map[string]*policy{}, tokens: map[string]*enrolmentToken{}, devices: map[string]*enrolled{},
		hardware: map[string][]string{}, webApps: map[string]dict{}}
	maps.Copy(e.fields, c.body)
	if ref := g.checkEnterprise(e.fields); ref != nil {
		return nil, ref
	}
	s.used = true
	g.enterprises[e.name] = e
	g.topicSet(e, "")
	return e.view(), nil
}

func (e *enterprise) view() dict {
	v := maps.Clone(e.fields)
	v["name"] = e.name
	v["enterpriseType"] = "MANAGED_GOOGLE_PLAY_ACCOUNTS_ENTERPRISE"
	return v
}

func (g *Google) checkEnterprise(v dict) *googleError {
	if len([]rune(str(v, "enterpriseDisplayName"))) > 100 {
		return invalid("enterprise_display_name is longer than 100 characters.")
	}
	terms, _ := v["termsAndConditions"].([]any)
	for i, t := range terms {
		page, _ := t.(dict)
		for _, part := range []string{"header", "content"} {
			m, _ := page[part].(dict)
			if ref := checkMessage(fmt.Sprintf("enterprise.terms_and_conditions[%d].%s", i, part), m, 4096); ref != nil {
				return ref
			}
		}
	}
	topic := str(v, "pubsubTopic")
	if topic == "" {
		return nil
	}
	t := g.topics[topic]
	if t == nil {
		return invalid("The topic %q does not exist.", topic)
	}
	if !t.publisher() {
		return refusedWith(http.StatusForbidden, "PERMISSION_DENIED", "The account "+publisherAccount+" may not publish to "+topic+".")
	}
	return nil
}

// checkMessage holds a UserFacingMessage against its rules.
func checkMessage(at string, m dict, longest int) *googleError {
	all := []string{str(m, "defaultMessage")}
	local, _ := m["localizedMessages"].(dict)
	for _, v := range local {
		s, _ := v.(string)
		all = append(all, s)
	}
	if all[0] == "" && len(local) > 0 {
		return violations([]apiViolation{{at, "default_message is needed when there are localised ones."}})
	}
	for _, s := range all {
		if len([]rune(s)) > longest {
			return violations([]apiViolation{{at, fmt.Sprintf("A message is longer than %d characters.", longest)}})
		}
	}
	return nil
}

// topicSet sends the test message after an enterprise got another topic.
func (g *Google) topicSet(e *enterprise, before string) {
	if t := str(e.fields, "pubsubTopic"); t != "" && t != before {
		g.post(t, "TEST", nil)
	}
}

func (g *Google) patchEnterprise(e *enterprise, c *call) (dict, *googleError) {
	if n := str(c.body, "name"); n != "" && n != e.name {
		return nil, invalid("The name in the body is not that of the path.")
	}
	next, ref := masked("Enterprise", e.fields, c.body, c.query.Get("updateMask"))
	if ref == nil {
		ref = g.checkEnterprise(next)
	}
	if ref != nil {
		return nil, ref
	}
	before := str(e.fields, "pubsubTopic")
	e.fields = next
	g.topicSet(e, before)
	return e.view(), nil
}

func (g *Google) deleteEnterprise(e *enterprise, _ *call) (dict, *googleError) {
	for _, d := range e.devices {
		g.forget(d)
	}
	e.gone = true
	return dict{}, nil
}

func (g *Google) listEnterprises(c *call) (dict, *googleError) {
	if ref := g.projectOf(c); ref != nil {
		return nil, ref
	}
	var all []dict
	for _, name := range slices.Sorted(maps.Keys(g.enterprises)) {
		if e := g.enterprises[name]; !e.gone {
			all = append(all, dict{"name": e.name, "enterpriseDisplayName": str(e.fields, "enterpriseDisplayName")})
		}
	}
	return pageOf(c, "enterprises", all, 100, 100)
}

// DropEnterprise is the administrator removing the binding in Google's own console: every later call is refused.
func (g *Google) DropEnterprise(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if e := g.enterprises[name]; e != nil {
		e.gone = true
	}
}

// Enterprises lists the names of those that were made.
func (g *Google) Enterprises() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Sorted(maps.Keys(g.enterprises))
}
