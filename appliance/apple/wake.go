package apple

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"muster/appliance/fleet"
)

// Bounds of what a TokenUpdate may bring. Tokens have 32 bytes today; Apple says not to count on it.
const (
	maxToken = 1024
	maxMagic = 256
)

// sealedAddresses is the name under which wake addresses are sealed.
const sealedAddresses = "apple-wake"

// wakeAddress is what a push needs. It is kept sealed: who has it can wake the device.
type wakeAddress struct {
	Token []byte    `json:"token"`
	Magic string    `json:"magic"`
	Topic string    `json:"topic"`
	At    time.Time `json:"at"` // of the TokenUpdate: an older "unregistered" does not concern it
}

// addressID is what a sealed address is bound to.
func addressID(d fleet.DeviceID, ch fleet.Channel) string { return string(d) + "/" + string(ch) }

func (a *Apple) sealAddress(d fleet.DeviceID, ch fleet.Channel, w wakeAddress) ([]byte, error) {
	b, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	return a.db.Sealer().Seal(sealedAddresses, addressID(d, ch), b), nil
}

func (a *Apple) openAddress(d fleet.DeviceID, ch fleet.Channel, sealed []byte) (wakeAddress, error) {
	var w wakeAddress
	b, err := a.db.Sealer().Open(sealedAddresses, addressID(d, ch), sealed)
	if err != nil {
		return w, fmt.Errorf("wake address of %s: %w", d, err)
	}
	return w, json.Unmarshal(b, &w)
}

// Wake sends one push.
func (a *Apple) Wake(ctx context.Context, w fleet.Wake) fleet.WakeResult {
	addr, err := a.openAddress(w.Device, w.Channel, w.Address)
	if err != nil {
		a.log.Error("push address", "device", w.Device, "err", err)
		return fleet.WakeResult{RetryAfter: time.Hour, Reason: fleet.Why(codePushAddress)}
	}
	res := a.push.send(ctx, addr)
	if !res.Accepted {
		a.log.Warn("push not accepted", "device", w.Device, "channel", w.Channel, "reason", res.Reason.Code, "apns", res.Reason.DeviceWords)
	}
	return res
}
