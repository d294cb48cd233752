package android

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Calls of the Android Management API, v1 (discovery document 20261102).

func (c *client) manage(ctx context.Context, l lane, method, path string, q url.Values, body, out any) error {
	return c.do(ctx, call{lane: l, method: method, base: c.management, path: path, query: q, body: body}, out)
}

// createSignUp begins the sign-up of an organisation.
func (c *client) createSignUp(ctx context.Context, project, callback string) (name, link string, err error) {
	var out struct{ Name, URL string }
	err = c.do(ctx, call{lane: laneSetup, method: http.MethodPost, base: c.management, path: "signupUrls", once: true,
		query: url.Values{"projectId": {project}, "callbackUrl": {callback}}}, &out)
	return out.Name, out.URL, err
}

// createEnterprise ends it.
func (c *client) createEnterprise(ctx context.Context, project, signUp, token string, body map[string]any) (string, error) {
	var out struct{ Name string }
	err := c.do(ctx, call{lane: laneSetup, method: http.MethodPost, base: c.management, path: "enterprises", once: true, body: body,
		query: url.Values{"projectId": {project}, "signupUrlName": {signUp}, "enterpriseToken": {token}}}, &out)
	return out.Name, err
}

func (c *client) getEnterprise(ctx context.Context, l lane, name string) (map[string]any, error) {
	var out map[string]any
	return out, c.manage(ctx, l, http.MethodGet, name, nil, nil, &out)
}

func (c *client) patchEnterprise(ctx context.Context, name string, body map[string]any) error {
	return c.manage(ctx, laneSetup, http.MethodPatch, name, url.Values{"updateMask": {mask(body, nil)}}, body, nil)
}

// patchPolicy writes a policy whole: what stood in the one before and stands in this one no more is cleared by being named in the mask.
func (c *client) patchPolicy(ctx context.Context, l lane, name string, body map[string]any, before []string) (int64, error) {
	var out policy
	err := c.manage(ctx, l, http.MethodPatch, name, url.Values{"updateMask": {mask(body, before)}}, body, &out)
	if err == nil && out.Version == 0 { // 304: nothing changed
		if err = c.manage(ctx, l, http.MethodGet, name, nil, nil, &out); err != nil {
			return 0, err
		}
	}
	return int64(out.Version), err
}

func (c *client) deletePolicy(ctx context.Context, name string) error {
	return gone(c.manage(ctx, laneRead, http.MethodDelete, name, nil, nil, nil))
}

// mask names every field that a document has or had.
func mask(body map[string]any, before []string) string {
	keys := slices.Clone(before)
	for k := range body {
		keys = append(keys, k)
	}
	keys = slices.DeleteFunc(keys, func(k string) bool { return k == "name" })
	slices.Sort(keys)
	return strings.Join(slices.Compact(keys), ",")
}

func (c *client) createToken(ctx context.Context, enterprise string, body map[string]any) (*enrollmentToken, error) {
	out := new(enrollmentToken)
	return out, c.do(ctx, call{lane: laneSetup, method: http.MethodPost, base: c.management, path: enterprise + "/enrollmentTokens", once: true, body: body}, out)
}

func (c *client) deleteToken(ctx context.Context, name string) error {
	return gone(c.manage(ctx, laneRead, http.MethodDelete, name, nil, nil, nil))
}

func (c *client) getDevice(ctx context.Context, l lane, name string) (*device, error) {
	out := new(device)
	return out, c.manage(ctx, l, http.MethodGet, name, nil, nil, out)
}

// listedFields are what a list of devices brings: who they are and whether something has changed.
const listedFields = "devices(name,state,appliedState,policyName,appliedPolicyName,appliedPolicyVersion,enrollmentTime,enrollmentTokenData,lastStatusReportTime,lastPolicySyncTime,previousDeviceNames),nextPageToken"

// listDevices walks all devices of an enterprise. An error on any page is an error of the whole: nothing follows from half a list.
func (c *client) listDevices(ctx context.Context, enterprise string, each func(*device) error) error {
	type page struct {
		Devices []*device `json:"devices"`
		Next    string    `json:"nextPageToken"`
	}
	return walkPages(ctx, c, laneRead, enterprise+"/devices", url.Values{"fields": {listedFields}}, 100_000, func(p *page) string { return p.Next }, func(p *page) (bool, error) {
		for _, d := range p.Devices {
			if d == nil || enterpriseOf(d.Name) != enterprise {
				continue
			}
			if err := each(d); err != nil {
				return false, err
			}
		}
		return true, nil
	})
}

func (c *client) deleteDevice(ctx context.Context, name, reason string) error {
	q := url.Values{}
	if reason != "" {
		q.Set("wipeReasonMessage", clip(reason, 200))
	}
	return gone(c.manage(ctx, laneOrder, http.MethodDelete, name, q, nil, nil))
}

func (c *client) issue(ctx context.Context, device string, body map[string]any) (*operation, error) {
	out := new(operation)
	return out, c.do(ctx, call{lane: laneOrder, method: http.MethodPost, base: c.management, path: device + ":issueCommand", once: true, body: body}, out)
}

func (c *client) getOperation(ctx context.Context, name string) (*operation, error) {
	out := new(operation)
	return out, c.manage(ctx, laneOrder, http.MethodGet, name, nil, nil, out)
}

func (c *client) cancelOperation(ctx context.Context, name string) error {
	return gone(c.manage(ctx, laneOrder, http.MethodPost, name+":cancel", nil, nil, nil))
}

// findOperation looks for a command that was sent and whose answer was lost.
func (c *client) findOperation(ctx context.Context, device, kind string, since time.Time) (found *operation, err error) {
	type page struct {
		Operations []*operation `json:"operations"`
		Next       string       `json:"nextPageToken"`
	}
	err = walkPages(ctx, c, laneOrder, device+"/operations", nil, 20, func(p *page) string { return p.Next }, func(p *page) (bool, error) {
		for _, o := range p.Operations {
			if o != nil && o.Metadata.Type == kind && !o.Metadata.Created.Before(since) {
				found = o
				return false, nil
			}
		}
		return true, nil
	})
	if errors.Is(err, errEndless) {
		err = nil // the newest come first
	}
	return found, err
}

// getApp is what Play knows of an app: its title and the settings that it takes.
func (c *client) getApp(ctx context.Context, enterprise, pkg, language string) (map[string]any, error) {
	var out map[string]any
	return out, c.manage(ctx, laneSetup, http.MethodGet, enterprise+"/applications/"+url.PathEscape(pkg), url.Values{"languageCode": {language}}, nil, &out)
}

// Calls of Pub/Sub, v1.

func (c *client) pub(ctx context.Context, l lane, method, path string, body, out any) error {
	return c.do(ctx, call{lane: l, method: method, base: c.pubsub, path: path, body: body}, out)
}

const pullMost = 100

func (c *client) pull(ctx context.Context, subscription string) ([]message, error) {
	var out struct {
		Received []message `json:"receivedMessages"`
	}
	err := c.do(ctx, call{lane: laneOrder, method: http.MethodPost, base: c.pubsub, path: subscription + ":pull", body: map[string]any{"maxMessages": pullMost}, long: true}, &out)
	return out.Received, err
}

func (c *client) acknowledge(ctx context.Context, subscription string, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	return c.pub(ctx, laneOrder, http.MethodPost, subscription+":acknowledge", map[string]any{"ackIds": ids}, nil)
}

// giveBack has messages delivered again.
func (c *client) giveBack(ctx context.Context, subscription string, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	return c.pub(ctx, laneOrder, http.MethodPost, subscription+":modifyAckDeadline", map[string]any{"ackIds": ids, "ackDeadlineSeconds": 0}, nil)
}

// publisher is the account under which Google tells what devices report.
const publisher = "serviceAccount:android-cloud-policy@system.gserviceaccount.com"

// prepareTopic makes topic and subscription where they are missing, and lets Google publish.
func (c *client) prepareTopic(ctx context.Context, topic, subscription string) error {
	if err := c.pub(ctx, laneSetup, http.MethodPut, topic, map[string]any{}, nil); err != nil && !is(err, http.StatusConflict) {
		return err
	}
	var rights struct {
		Etag     string           `json:"etag"`
		Bindings []map[string]any `json:"bindings"`
	}
	if err := c.pub(ctx, laneSetup, http.MethodGet, topic+":getIamPolicy", nil, &rights); err != nil {
		return err
	}
	if !publishes(rights.Bindings) {
		body := map[string]any{"bindings": append(rights.Bindings, map[string]any{"role": "roles/pubsub.publisher", "members": []string{publisher}})}
		if rights.Etag != "" {
			body["etag"] = rights.Etag
		}
		if err := c.pub(ctx, laneSetup, http.MethodPost, topic+":setIamPolicy", map[string]any{"policy": body}, nil); err != nil {
			return err
		}
	}
	sub := map[string]any{"topic": topic, "ackDeadlineSeconds": 60, "messageRetentionDuration": "604800s", "expirationPolicy": map[string]any{},
		"retryPolicy": map[string]any{"minimumBackoff": "10s", "maximumBackoff": "600s"}}
	if err := c.pub(ctx, laneSetup, http.MethodPut, subscription, sub, nil); err != nil && !is(err, http.StatusConflict) {
		return err
	}
	return nil
}

// publishes says whether Google's account may publish.
func publishes(bindings []map[string]any) bool {
	for _, b := range bindings {
		members, _ := b["members"].([]any)
		if b["role"] == "roles/pubsub.publisher" && slices.Contains(members, any(publisher)) {
			return true
		}
	}
	return false
}

// gone takes "not there" for done.
func gone(err error) error {
	if is(err, http.StatusNotFound) {
		return nil
	}
	return err
}
