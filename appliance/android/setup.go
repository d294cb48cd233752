package android

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"muster/appliance/fleet"
)

// CallbackPath is where Google sends the administrator's browser after the sign-up.
const CallbackPath = "/android/callback"

// notifications that are asked for. Those about compliance are deprecated, and a device's own report says it all.
var notifications = []string{"ENROLLMENT", "STATUS_REPORT", "COMMAND", "USAGE_LOGS"}

// Connect saves the connection to Google, and tells Google where to notify when that has changed.
func (a *Android) Connect(ctx context.Context, by fleet.Actor, in fleet.GoogleInput) (*fleet.GoogleAccount, error) {
	acc, err := a.fleet.SaveGoogle(ctx, by, in)
	if err != nil {
		return nil, err
	}
	if acc.Enterprise != "" && acc.Topic != "" {
		if err := a.announce(ctx); err != nil {
			return nil, refusal(err)
		}
	}
	a.Look()
	return acc, nil
}

// Disconnect forgets the connection. Fleet refuses while devices hang by it.
func (a *Android) Disconnect(ctx context.Context, by fleet.Actor) error {
	return a.fleet.ForgetGoogle(ctx, by)
}

// SignUp begins the organisation's sign-up at Google and returns the page to be opened, in a full window.
func (a *Android) SignUp(ctx context.Context, by fleet.Actor) (string, error) {
	state, err := a.fleet.BeginGoogleSignUp(ctx, by)
	if err != nil {
		return "", err
	}
	conn, err := a.connect(ctx)
	if err != nil {
		return "", refusal(err)
	}
	s, err := a.fleet.Settings(ctx)
	if err != nil {
		return "", err
	}
	back := strings.TrimRight(s.URL, "/") + CallbackPath + "?state=" + url.QueryEscape(state)
	name, page, err := conn.createSignUp(ctx, conn.account.Project, back)
	if err != nil {
		return "", refusal(err)
	}
	if u, err := url.Parse(page); err != nil || u.Scheme != "https" {
		return "", fleet.Refuse(fleet.ErrConflict, codeUnavailable)
	}
	return page, a.fleet.NameGoogleSignUp(ctx, state, name)
}

// Complete ends the sign-up when the browser comes back.
func (a *Android) Complete(ctx context.Context, state, token string) error {
	name, _, err := a.fleet.GoogleSignUp(ctx, state)
	if err != nil {
		return err
	}
	if name == "" || token == "" || len(token) > 2000 {
		return fleet.Refuse(fleet.ErrInvalid, "google.sign-up-unknown")
	}
	conn, err := a.connect(ctx)
	if err != nil {
		return refusal(err)
	}
	s, err := a.fleet.Settings(ctx)
	if err != nil {
		return err
	}
	enterprise, err := conn.createEnterprise(ctx, conn.account.Project, name, token, enterpriseBody(s.Organisation))
	if err != nil {
		return refusal(err)
	}
	if _, err := a.fleet.EndGoogleSignUp(ctx, state, enterprise); err != nil {
		return err
	}
	if conn.account.Topic != "" {
		if err := a.announce(ctx); err != nil { // the check says it; devices are looked over without notifications too
			a.log.Error("google was not told where to notify", "err", err)
		}
	}
	a.Look()
	return nil
}

// enterpriseBody is what Google is told of the organisation.
func enterpriseBody(organisation string) map[string]any {
	return map[string]any{"enterpriseDisplayName": clip(organisation, 100)}
}

// topicBody is where Google is to notify.
func topicBody(topic string) map[string]any {
	return map[string]any{"pubsubTopic": topic, "enabledNotificationTypes": notifications}
}

// announce makes topic and subscription where they are missing, and tells Google of them.
func (a *Android) announce(ctx context.Context) error {
	conn, err := a.ready(ctx)
	if err != nil {
		return err
	}
	if conn.account.Kind == fleet.GoogleOwn {
		if err := conn.prepareTopic(ctx, conn.account.Topic, conn.account.Subscription); err != nil && !is(err, http.StatusForbidden) {
			return err // without the right to make them they may be there all the same
		}
	}
	return conn.patchEnterprise(ctx, conn.account.Enterprise, topicBody(conn.account.Topic))
}

// refusal is an error of Google's as one for people.
func refusal(err error) error {
	if t := troubled(err); t != nil {
		return &fleet.Refusal{Kind: fleet.ErrConflict, Reason: t.reason()}
	}
	var e *apiError
	if errors.As(err, &e) {
		return &fleet.Refusal{Kind: fleet.ErrConflict, Reason: fleet.Reason{Code: codeForbidden, DeviceWords: e.words()}}
	}
	return err
}

// Where to mend things.
const (
	consoleAPI   = "https://console.cloud.google.com/apis/library/androidmanagement.googleapis.com"
	consoleIAM   = "https://console.cloud.google.com/iam-admin/iam"
	consoleKeys  = "https://console.cloud.google.com/iam-admin/serviceaccounts"
	consoleTopic = "https://console.cloud.google.com/cloudpubsub/topic/list"
	quotaForm    = "https://developers.google.com/android/management/quotas"
	playApps     = "https://play.google.com/work"
	usagePage    = "https://developers.google.com/android/management/permissible-usage"
)

// Check looks at each prerequisite on Google's side. What cannot be asked of Google is said to be unknown, not good.
func (a *Android) Check(ctx context.Context, by fleet.Actor) ([]fleet.GoogleCheck, error) {
	acc, err := a.fleet.Google(ctx, by)
	if err != nil {
		return nil, err
	}
	if acc == nil {
		return []fleet.GoogleCheck{{Code: "connection", State: "bad", Reason: why(codeNotSetUp), Do: why("android.do.connect")}}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 45*time.Second)
	defer cancel()
	conn, err := a.connect(ctx)
	if err != nil {
		return []fleet.GoogleCheck{badCheck("token", err)}, nil
	}
	var out []fleet.GoogleCheck
	if _, err := conn.auth.bearer(ctx); err != nil {
		return []fleet.GoogleCheck{badCheck("token", err)}, nil
	}
	out = append(out, fleet.GoogleCheck{Code: "token", State: "good", Reason: why("android.check.token")})
	if acc.Enterprise == "" {
		return append(out, fleet.GoogleCheck{Code: "enterprise", State: "bad", Reason: why("android.check.no-enterprise"), Do: why("android.do.sign-up")}), nil
	}
	known, err := conn.getEnterprise(ctx, laneSetup, acc.Enterprise)
	if err != nil {
		return append(out, badCheck("enterprise", err)), nil
	}
	out = append(out, fleet.GoogleCheck{Code: "api", State: "good", Reason: why("android.check.api")},
		fleet.GoogleCheck{Code: "enterprise", State: "good", Reason: why("android.check.enterprise")},
		a.checkTopic(ctx, conn, known), a.checkQuota(ctx), a.checkWebApps())
	return append(out, fleet.GoogleCheck{Code: "usage", State: "unknown", Reason: why("android.check.usage"), Do: why("android.do.usage"), Link: usagePage}), nil
}

// badCheck is a prerequisite that is not met.
func badCheck(code string, err error) fleet.GoogleCheck {
	c := fleet.GoogleCheck{Code: code, State: "bad", Reason: why(codeUnavailable), Do: why("android.do.wait")}
	var e *apiError
	if errors.As(err, &e) {
		c.Words, c.Link = e.words(), e.Link
	}
	t := troubled(err)
	switch {
	case t == nil && e != nil && (e.HTTP == http.StatusForbidden || e.HTTP == http.StatusNotFound):
		c.Reason, c.Do, c.Link = why(codeForbidden), why("android.do.role"), firstOf(c.Link, consoleIAM)
	case t == nil:
	default:
		c.Reason = why(t.Code)
		c.Words = firstOf(c.Words, t.Words)
		switch t.Code {
		case codeUnreachable:
			c.Do = why("android.do.network")
		case codeKeyRefused:
			c.Do, c.Link = why("android.do.key"), firstOf(c.Link, consoleKeys)
		case codeAPIOff:
			c.Code, c.Do, c.Link = "api", why("android.do.api"), firstOf(c.Link, consoleAPI)
		case codeUsage:
			c.Code, c.Do, c.Link = "usage", why("android.do.usage"), usagePage
		}
	}
	return c
}

// checkTopic looks whether Google notifies us.
func (a *Android) checkTopic(ctx context.Context, conn *connection, known map[string]any) fleet.GoogleCheck {
	c := fleet.GoogleCheck{Code: "notifications", State: "good", Reason: why("android.check.polling")}
	if conn.account.Topic == "" {
		return c
	}
	if topic, _ := known["pubsubTopic"].(string); topic != conn.account.Topic {
		c.State, c.Reason, c.Do, c.Link = "bad", why("android.check.topic-unset"), why("android.do.topic"), consoleTopic
		return c
	}
	var rights struct {
		Bindings []map[string]any `json:"bindings"`
	}
	err := conn.pub(ctx, laneSetup, http.MethodGet, conn.account.Topic+":getIamPolicy", nil, &rights)
	switch {
	case is(err, http.StatusForbidden):
		c.State, c.Reason = "unknown", why("android.check.topic-unseen")
	case err != nil:
		c = badCheck("notifications", err)
		c.Code, c.Do, c.Link = "notifications", why("android.do.topic"), consoleTopic
	case !publishes(rights.Bindings):
		c.State, c.Reason, c.Do, c.Link = "bad", why("android.check.topic-closed"), why("android.do.topic"), consoleTopic
	default:
		c.Reason = why("android.check.topic")
	}
	return c
}

// checkWebApps names web apps that the last look at Google found and that no web link stands behind.
func (a *Android) checkWebApps() fleet.GoogleCheck {
	a.mu.Lock()
	titles := a.strays
	a.mu.Unlock()
	if len(titles) == 0 {
		return fleet.GoogleCheck{Code: "web-apps", State: "good", Reason: why("android.check.web-apps")}
	}
	return fleet.GoogleCheck{Code: "web-apps", State: "warn", Reason: why("android.check.web-apps-left", "titles", clip(strings.Join(titles, ", "), 500)), Do: why("android.do.web-apps"), Link: playApps}
}

// checkQuota says of the number of devices that Google allows what can be known: nothing, until one has enrolled.
func (a *Android) checkQuota(ctx context.Context) fleet.GoogleCheck {
	c := fleet.GoogleCheck{Code: "quota", State: "unknown", Reason: why("android.check.quota"), Do: why("android.do.quota"), Link: quotaForm}
	found := errors.New("found")
	err := a.eachRecord(ctx, func(r *record) error {
		if r.Device != "" {
			return found
		}
		return nil
	})
	if errors.Is(err, found) {
		c.State, c.Reason, c.Do, c.Link = "good", why("android.check.quota-used"), fleet.Reason{}, ""
	}
	return c
}
