package apple

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"muster/appliance/fleet"
)

// maxUnrenderable bounds how many orders that cannot be put into a command are passed over in one answer.
const maxUnrenderable = 16

// command takes a result, or a call without one, and answers with the next command.
func (a *Apple) command(ctx context.Context, c fleet.Contact, msg dict) (reply, error) {
	if err := a.belongs(ctx, c.Identity, hardwareOf(msg)); err != nil {
		return reply{}, err
	}
	ans, err := readAnswer(msg)
	if err != nil {
		return reply{}, err
	}
	c.NewRun = ans == nil
	for range maxUnrenderable {
		o, err := a.fleet.Exchange(ctx, c, ans)
		if err != nil || o == nil {
			return nothing, err
		}
		body, err := a.render(ctx, c, o)
		if err == nil {
			return reply{status: http.StatusOK, kind: plistType, body: body}, nil
		}
		// The order cannot become a command: say so to fleet as if the device had, and go on with the next.
		var cannot *unrenderable
		if !errors.As(err, &cannot) {
			return reply{}, err
		}
		a.log.Error("order cannot be rendered", "device", o.Device.ID, "order", o.ID, "step", o.Step.Kind, "reason", cannot.reason.Code, "err", cannot.cause)
		ans = &fleet.Answer{Order: o.ID, Outcome: cannot.outcome, Reason: cannot.reason}
		c.NewRun = false
	}
	return nothing, nil
}

// unrenderable says why an order cannot be put into a command.
type unrenderable struct {
	outcome fleet.Outcome
	reason  fleet.Reason
	cause   error
}

func (u *unrenderable) Error() string {
	if u.cause != nil {
		return fmt.Sprintf("%s: %v", u.reason.Code, u.cause)
	}
	return u.reason.Code
}

func (u *unrenderable) Unwrap() error { return u.cause }

// ours is an unrenderable order by our own fault: repeating it unchanged would not help.
func ours(cause error) error {
	return &unrenderable{fleet.Malformed, fleet.Why(codeRender), cause}
}

// render puts an order into a command.
func (a *Apple) render(ctx context.Context, c fleet.Contact, o *fleet.Order) ([]byte, error) {
	cmd, err := a.commandFor(ctx, c, o)
	if err != nil {
		return nil, err
	}
	b, err := writePlist(envelope{CommandUUID: commandUUID(o), Command: cmd})
	if err != nil {
		return nil, ours(err)
	}
	return b, nil
}

// removalMark ends the CommandUUID of removals: the answer "there is no such profile" means that the wish is fulfilled only there.
const removalMark = "-remove"

func commandUUID(o *fleet.Order) string {
	if o.Step.Kind == fleet.StepRemove || o.Step.Kind == fleet.StepUnenrol {
		return string(o.ID) + removalMark
	}
	return string(o.ID)
}

func (a *Apple) commandFor(ctx context.Context, c fleet.Contact, o *fleet.Order) (any, error) {
	switch o.Step.Kind {
	case fleet.StepInstall:
		return a.installUnit(ctx, o)
	case fleet.StepRemove:
		if o.Step.Unit == nil {
			return nil, ours(errors.New("removal without a unit"))
		}
		return removeProfile{"RemoveProfile", unitIdentifier(o.Step.Unit.Key)}, nil
	case fleet.StepQuery:
		return queryFor(o)
	case fleet.StepAction:
		return a.actionFor(ctx, c, o)
	case fleet.StepRenew:
		return a.renew(ctx, o)
	case fleet.StepUnenrol:
		return removeProfile{"RemoveProfile", enrolmentIdentifier}, nil
	}
	return nil, ours(fmt.Errorf("step %q", o.Step.Kind))
}

func queryFor(o *fleet.Order) (any, error) {
	personal := o.Device.Ownership == fleet.Personal
	switch o.Step.Query {
	case fleet.QueryDevice:
		return deviceInformation{"DeviceInformation", queriesFor(o.Device.Platform, o.Facts)}, nil
	case fleet.QuerySecurity:
		return bareCommand{"SecurityInfo"}, nil
	case fleet.QueryProfiles:
		// Only what came from us is asked for: nothing else is needed as proof.
		return managedOnlyList{"ProfileList", true}, nil
	case fleet.QueryCertificates:
		return managedOnlyList{"CertificateList", o.ManagedOnly || personal}, nil
	case fleet.QueryApps:
		q := installedApplicationList{RequestType: "InstalledApplicationList", ManagedAppsOnly: o.ManagedOnly || personal}
		if o.Device.Platform != fleet.MacOS {
			q.Items = appItems
		}
		return q, nil
	case fleet.QueryManagedApps:
		return bareCommand{"ManagedApplicationList"}, nil
	}
	return nil, ours(fmt.Errorf("query %q", o.Step.Query))
}

// actionFor renders an action. Retirement, deletion and "sync now" are never commands of their own: they are made of other steps.
func (a *Apple) actionFor(ctx context.Context, c fleet.Contact, o *fleet.Order) (any, error) {
	if o.Action == nil {
		return nil, ours(errors.New("action step without an action"))
	}
	mac, opt := o.Device.Platform == fleet.MacOS, o.Action.Options
	switch o.Action.Type {
	case fleet.ActLock:
		cmd := deviceLock{RequestType: "DeviceLock", Message: opt.Message, PhoneNumber: opt.Phone}
		if mac {
			if !sixDigits(o.PIN) {
				return nil, ours(errors.New("lock of a Mac without a six-digit PIN"))
			}
			cmd.PIN = o.PIN
		}
		return cmd, nil
	case fleet.ActClearPasscode:
		token, err := a.fleet.ReadSecret(ctx, c, secretUnlock)
		if err != nil && !errors.Is(err, fleet.ErrNotFound) {
			return nil, err
		}
		if len(token) == 0 {
			return nil, &unrenderable{fleet.Failed, fleet.Why(codeNoUnlockToken), err}
		}
		return clearPasscode{"ClearPasscode", token}, nil
	case fleet.ActRestart:
		return restartDevice{RequestType: "RestartDevice"}, nil
	case fleet.ActWipe:
		cmd := eraseDevice{RequestType: "EraseDevice"}
		if mac {
			if o.PIN != "" && !sixDigits(o.PIN) {
				return nil, ours(errors.New("wipe of a Mac with a PIN that is not six digits"))
			}
			cmd.PIN, cmd.ObliterationBehavior = o.PIN, opt.Obliterate
		} else {
			cmd.PreserveDataPlan, cmd.DisallowProximitySetup = opt.KeepDataPlan, opt.NoProximity
		}
		return cmd, nil
	}
	return nil, ours(fmt.Errorf("action %q", o.Action.Type))
}

func sixDigits(s string) bool {
	if len(s) != 6 {
		return false
	}
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
