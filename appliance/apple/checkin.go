package apple

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"muster/appliance/fleet"
	"muster/store"
)

// Names under which device secrets are kept sealed. They are facts of the register, which takes them from corporate devices only.
const (
	secretUnlock    = "unlock-token"
	secretBootstrap = "bootstrap-token"
)

// checkIn answers a check-in message.
func (a *Apple) checkIn(ctx context.Context, c fleet.Contact, msg dict) (reply, error) {
	hardware := hardwareOf(msg)
	if hardware == "" {
		return reply{}, bad("no UDID", nil)
	}
	kind := msg.text("MessageType")
	if c.Identity.Late && kind != "TokenUpdate" && kind != "CheckOut" {
		return reply{}, fleet.ErrIdentity // an identity that has ended fetches its renewal, and no secrets
	}
	if kind == "Authenticate" {
		return a.authenticate(ctx, c, msg, hardware)
	}
	if err := a.belongs(ctx, c.Identity, hardware); err != nil {
		return reply{}, err
	}
	switch kind {
	case "TokenUpdate":
		return a.tokenUpdate(ctx, c, msg)
	case "CheckOut":
		if c.Channel != fleet.DeviceChannel {
			return nothing, nil // one user of a Mac is gone, not the Mac
		}
		return nothing, a.fleet.Leave(ctx, c)
	case "UserAuthenticate":
		// Sent for directory accounts of a Mac only. 410 lets the login go on without a user channel; anything else
		// leaves it hanging.
		return reply{status: http.StatusGone}, nil
	case "SetBootstrapToken":
		return nothing, a.keepSecret(ctx, c, secretBootstrap, msg.data("BootstrapToken"))
	case "GetBootstrapToken":
		return a.bootstrapToken(ctx, c)
	case "GetToken":
		// Managed Apple Accounts and watch pairing need Apple Business Manager, which this server does not use.
		return reply{}, bad("GetToken "+label(msg.text("TokenServiceType")), nil)
	case "DeclarativeManagement":
		return a.declarative(msg)
	}
	return reply{}, bad("unknown check-in "+label(kind), nil)
}

// label makes a short printable word for the log of text that came from outside.
func label(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}, s)
	return s[:min(len(s), 40)]
}

// authenticate begins an enrolment: also that of a device already known, whose earlier orders fleet then ends.
func (a *Apple) authenticate(ctx context.Context, c fleet.Contact, msg dict, hardware string) (reply, error) {
	if c.Channel != fleet.DeviceChannel {
		return reply{}, bad("Authenticate of a user", nil)
	}
	if err := a.checkTopic(ctx, msg.text("Topic")); err != nil {
		return reply{}, err
	}
	name, err := a.nameOf(ctx, c.Identity.Enrolment, msg)
	if err != nil {
		return reply{}, err
	}
	_, err = a.fleet.Enrol(ctx, c, fleet.EnrolInput{
		Hardware: hardware,
		Platform: platformOf(msg),
		Name:     name,
		Facts:    checkInFacts(msg),
		Topic:    msg.text("Topic"),
	})
	return nothing, err
}

// nameOf is what the device is called until an administrator says otherwise: its own name where that may be taken. The name of a personal
// device is its person's affair, and often names them.
func (a *Apple) nameOf(ctx context.Context, e fleet.EnrolmentID, msg dict) (string, error) {
	data, err := a.enrolmentData(ctx, e)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return "", err
	}
	keys := []string{"ModelName", "ProductName"}
	if data != nil && data.Ownership == fleet.Corporate {
		keys = []string{"DeviceName", "ModelName", "ProductName"}
	}
	for _, k := range keys {
		if s := msg.text(k); s != "" {
			return clip(s), nil
		}
	}
	return "", nil
}

// checkTopic refuses an enrolment under another push topic than ours: the device could never be woken.
func (a *Apple) checkTopic(ctx context.Context, topic string) error {
	if topic == "" {
		return bad("no Topic", nil)
	}
	push, err := a.fleet.PushCertificate(ctx)
	if err != nil {
		return err
	}
	if push == nil || push.Topic != topic {
		return bad("Topic of another push certificate", nil)
	}
	return nil
}

// platformOf tells iPhone, iPad and Mac apart by product name ("iPhone15,2", "iPad13,4", "MacBookPro18,3", "Mac14,2", "VirtualMac2,1"). Without
// one, the keys that only Macs send decide.
func platformOf(msg dict) fleet.Platform {
	for _, name := range []string{msg.text("ProductName"), msg.text("Model"), msg.text("ModelName")} {
		switch {
		case strings.HasPrefix(name, "iPhone"), strings.HasPrefix(name, "iPod"):
			return fleet.IOS
		case strings.HasPrefix(name, "iPad"):
			return fleet.IPadOS
		case strings.Contains(name, "Mac"), strings.HasPrefix(name, "Xserve"):
			return fleet.MacOS
		}
	}
	if msg.text("DeviceName") != "" {
		return fleet.MacOS
	}
	return fleet.IOS
}

// tokenUpdate records how a channel is woken. A repeated one may lack the UnlockToken: the one kept stays.
func (a *Apple) tokenUpdate(ctx context.Context, c fleet.Contact, msg dict) (reply, error) {
	addr := wakeAddress{Token: msg.data("Token"), Magic: msg.text("PushMagic"), Topic: msg.text("Topic"), At: c.At}
	if len(addr.Token) == 0 || addr.Magic == "" {
		return reply{}, bad("TokenUpdate without token", nil)
	}
	if len(addr.Token) > maxToken || len(addr.Magic) > maxMagic {
		return reply{}, bad("TokenUpdate with an oversized token", nil)
	}
	if err := a.checkTopic(ctx, addr.Topic); err != nil {
		return reply{}, err
	}
	if unlock := msg.data("UnlockToken"); len(unlock) > 0 && c.Channel == fleet.DeviceChannel {
		if err := a.keepSecret(ctx, c, secretUnlock, unlock); err != nil {
			return reply{}, err
		}
	}
	sealed, err := a.sealAddress(c.Identity.Device, c.Channel, addr)
	if err != nil {
		return reply{}, err
	}
	_, err = a.fleet.Reach(ctx, c, sealed)
	return nothing, err
}

// keepSecret keeps a secret of a corporate device. From a personal one nothing that opens it is taken (the register says so), and the
// device is answered as if it had been.
func (a *Apple) keepSecret(ctx context.Context, c fleet.Contact, name string, value []byte) error {
	d, err := a.fleet.Device(ctx, fleet.Job("apple"), c.Identity.Device)
	if err != nil {
		return err
	}
	if d.Ownership != fleet.Corporate {
		return nil
	}
	if len(value) == 0 {
		value = nil
	}
	return a.fleet.KeepSecret(ctx, c, name, value)
}

// bootstrapToken hands a Mac its own token back; an empty dictionary says that there is none.
func (a *Apple) bootstrapToken(ctx context.Context, c fleet.Contact) (reply, error) {
	token, err := a.fleet.ReadSecret(ctx, c, secretBootstrap)
	if err != nil && !errors.Is(err, fleet.ErrNotFound) {
		return reply{}, err
	}
	out := struct {
		BootstrapToken []byte `plist:",omitempty"`
	}{token}
	return reply{status: http.StatusOK, kind: plistType, body: mustPlist(out)}, nil
}
