package android

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"muster/appliance/fleet"
)

// How long Google keeps a command for a device that is off. It always is said: left out it would be ten minutes, and then nobody is told.
const (
	keepCommand = time.Hour
	keepRestart = 10 * time.Minute
	keepRemoval = 10 * 365 * 24 * time.Hour
)

// unenrolKey names the end of management among the commands of a record.
const unenrolKey = "unenrol"

// act carries out an action.
func (t *turn) act(ctx context.Context, o *fleet.Order) (*fleet.Answer, error) {
	if o.Action == nil {
		return &fleet.Answer{Order: o.ID, Outcome: fleet.Malformed, Reason: why(codeRender)}, nil
	}
	body, life := commandFor(o.Action, o.PIN)
	if body == nil {
		return &fleet.Answer{Order: o.ID, Outcome: fleet.Malformed, Reason: why(codeRender)}, nil
	}
	return t.command(ctx, o.ID, string(o.Action.ID), body, life, life == keepRemoval)
}

// commandFor is the command of an action and how long Google is to keep it; nil for an action that is none.
func commandFor(a *fleet.Action, pin string) (map[string]any, time.Duration) {
	switch a.Type {
	case fleet.ActLock:
		return map[string]any{"type": "LOCK"}, keepCommand
	case fleet.ActClearPasscode:
		return map[string]any{"type": "RESET_PASSWORD", "newPassword": pin, "resetPasswordFlags": []string{"LOCK_NOW"}}, keepCommand
	case fleet.ActClearApp:
		return map[string]any{"type": "CLEAR_APP_DATA", "clearAppsDataParams": map[string]any{"packageNames": []string{a.Options.App}}}, keepCommand
	case fleet.ActRestart:
		return map[string]any{"type": "REBOOT"}, keepRestart
	case fleet.ActWipe, fleet.ActDelete: // where only a factory reset is possible, deleting is one
		return wipeCommand(a.Options.Message), keepRemoval
	}
	return nil, 0
}

// unenrol ends management.
func (t *turn) unenrol(ctx context.Context, o *fleet.Order) (*fleet.Answer, error) {
	return t.command(ctx, o.ID, unenrolKey, endCommand(t.rec.Mode), keepRemoval, true)
}

// endCommand ends management: of a personal device the work profile goes, a company's device with one is given up to its person.
func endCommand(m fleet.Mode) map[string]any {
	if m == fleet.ModeCompanyWorkProfile {
		return map[string]any{"type": "RELINQUISH_OWNERSHIP"}
	}
	return wipeCommand("")
}

// wipeCommand takes the work profile off a personal device, and resets any other. Its parameters are always there: without them Google refuses it.
func wipeCommand(reason string) map[string]any {
	params := map[string]any{}
	if reason = clip(strings.TrimSpace(reason), 200); reason != "" {
		params["wipeReason"] = map[string]any{"defaultMessage": reason}
	}
	return map[string]any{"type": "WIPE", "wipeParams": params}
}

// command issues a command, or asks how it stands. ends says that the device leaves management by it.
func (t *turn) command(ctx context.Context, o fleet.OrderID, key string, body map[string]any, life time.Duration, ends bool) (*fleet.Answer, error) {
	c, known := t.rec.Commands[key]
	if known && c.Name == "" { // whether it was sent is not known
		op, err := t.conn.findOperation(ctx, t.rec.Device, c.Type, c.At.Add(-time.Minute))
		switch {
		case is(err, http.StatusNotFound):
			return t.missing(o, false)
		case err != nil:
			return nil, err
		case op != nil:
			c.Name = op.Name
			if err := t.note(ctx, key, &c); err != nil {
				return nil, err
			}
		default:
			known = false
		}
	}
	if known {
		ans, again, err := t.ask(ctx, o, key, c, ends)
		if err != nil || !again {
			return ans, err
		}
	}
	return t.issue(ctx, o, key, body, life, c.Tries, ends)
}

// note stores a command, or forgets it when c is nil.
func (t *turn) note(ctx context.Context, key string, c *sent) error {
	next := maps.Clone(t.rec.Commands)
	if next == nil {
		next = map[string]sent{}
	}
	if c == nil {
		delete(next, key)
	} else {
		next[key] = *c
	}
	t.rec.Commands = next
	return t.a.keep(ctx, t.rec)
}

// issue sends a command, written down before.
func (t *turn) issue(ctx context.Context, o fleet.OrderID, key string, body map[string]any, life time.Duration, tries int, ends bool) (*fleet.Answer, error) {
	body["duration"] = seconds(int(life.Seconds()))
	c := sent{Type: body["type"].(string), At: t.a.now().UTC(), Duration: life, Tries: tries + 1}
	if err := t.note(ctx, key, &c); err != nil {
		return nil, err
	}
	op, err := t.conn.issue(ctx, t.rec.Device, body)
	var refused *apiError
	switch {
	case is(err, http.StatusNotFound):
		return t.missing(o, ends && tries > 0)
	case troubled(err) == nil && errors.As(err, &refused) && refused.HTTP < 500:
		if err := t.note(ctx, key, nil); err != nil {
			return nil, err
		}
		return &fleet.Answer{Order: o, Outcome: fleet.Failed, Reason: fleet.Reason{Code: codeCommand, DeviceWords: refused.words()}}, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", c.Type, err)
	}
	c.Name = op.Name
	if err := t.note(ctx, key, &c); err != nil {
		return nil, err
	}
	if op.Done {
		return t.settle(ctx, o, key, op)
	}
	return &fleet.Answer{Order: o, Outcome: fleet.Taken}, nil
}

// ask looks how a command stands. again says that it has to be sent anew: it ran out, or Google lost it.
func (t *turn) ask(ctx context.Context, o fleet.OrderID, key string, c sent, ends bool) (ans *fleet.Answer, again bool, err error) {
	op, err := t.conn.getOperation(ctx, c.Name)
	if is(err, http.StatusNotFound) {
		if err := t.see(ctx); err != nil {
			return nil, false, err
		}
		if t.lost {
			ans, err := t.missing(o, ends)
			return ans, false, err
		}
		return nil, true, nil
	}
	if err != nil {
		return nil, false, err
	}
	if op.Done {
		ans, err := t.settle(ctx, o, key, op)
		return ans, false, err
	}
	if !t.a.now().Before(c.At.Add(c.Duration)) { // it ends without notice
		t.a.log.Info("command ran out and is sent again", "device", t.rec.DeviceID, "type", c.Type, "tries", c.Tries)
		return nil, true, nil
	}
	return &fleet.Answer{Order: o, Outcome: fleet.Taken}, false, nil
}

// missing is the answer where Google does not know the device. Of a removal that was sent it is the proof: the record goes when the device has
// confirmed it. Else somebody took it out of management, and an order proves nothing.
func (t *turn) missing(o fleet.OrderID, ends bool) (*fleet.Answer, error) {
	t.lost = true
	if ends {
		return &fleet.Answer{Order: o, Outcome: fleet.Done}, nil
	}
	return nil, nil
}

// settle turns the end of a command into an answer.
func (t *turn) settle(ctx context.Context, o fleet.OrderID, key string, op *operation) (*fleet.Answer, error) {
	if err := t.note(ctx, key, nil); err != nil {
		return nil, err
	}
	code := op.Metadata.ErrorCode
	switch {
	case code != "" && code != "COMMAND_ERROR_CODE_UNSPECIFIED":
		r := why(codeCommandError, "code", clip(code, 60))
		if c, ok := commandErrors[code]; ok {
			r = why(c)
		}
		r.DeviceWords = clip(code, 60)
		return &fleet.Answer{Order: o, Outcome: fleet.Failed, Reason: r}, nil
	case op.Error != nil && op.Error.Code != 0:
		return &fleet.Answer{Order: o, Outcome: fleet.Failed, Reason: fleet.Reason{Code: codeCommandError, Args: map[string]string{"code": fmt.Sprint(op.Error.Code)}, DeviceWords: clip(op.Error.Message, 500)}}, nil
	}
	for _, r := range op.Metadata.Cleared.Results { // there is one: an order is for one app
		if r.Result == "SUCCESS" || r.Result == "" {
			continue
		}
		failed := why(cmp.Or(clearErrors[r.Result], commandErrors["UNKNOWN"]))
		failed.DeviceWords = clip(r.Result, 60)
		return &fleet.Answer{Order: o, Outcome: fleet.Failed, Reason: failed}, nil
	}
	return &fleet.Answer{Order: o, Outcome: fleet.Done}, nil
}
