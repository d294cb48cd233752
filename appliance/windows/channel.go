package windows

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"muster/appliance/fleet"
)

// A push channel is opened by the PC for the package family name that it is told, and changes: it is read again daily, and at the next call
// after WNS has called it dead.

const pushNode = "./Device/Vendor/MSFT/DMClient/Provider/" + providerID + "/Push/"

// channelEvery is how often a channel that is known is read again. The client opens a new one after 15 days, WNS closes it after 30.
const channelEvery = 24 * time.Hour

// sealedChannels is the name under which wake addresses are sealed.
const sealedChannels = "windows-wake"

// wakeAddress is what a push needs. It is kept sealed: who has it, and a token, can wake the PC.
type wakeAddress struct {
	Channel string `json:"channel"`
}

func addressID(d fleet.DeviceID) string { return string(d) + "/" + string(fleet.DeviceChannel) }

func (w *Windows) sealAddress(d fleet.DeviceID, channel string) ([]byte, error) {
	if channel == "" {
		return nil, nil
	}
	b, err := json.Marshal(wakeAddress{channel})
	if err != nil {
		return nil, err
	}
	return w.db.Sealer().Seal(sealedChannels, addressID(d), b), nil
}

// Wake sends one push. A PC without channel, and the person on it, are not pushed: they call by themselves.
func (w *Windows) Wake(ctx context.Context, k fleet.Wake) fleet.WakeResult {
	if len(k.Address) == 0 || k.Channel != fleet.DeviceChannel {
		return polls()
	}
	b, err := w.db.Sealer().Open(sealedChannels, addressID(k.Device), k.Address)
	var a wakeAddress
	if err == nil {
		err = json.Unmarshal(b, &a)
	}
	if err != nil {
		w.log.Error("push address", "device", k.Device, "err", err)
		w.stale.Store(k.Device, true)
		return fleet.WakeResult{Dead: true, Calls: true, Reason: fleet.Why(codePushAddress)}
	}
	res := w.push.send(ctx, a.Channel)
	res.Calls = true
	if res.Dead {
		w.stale.Store(k.Device, true)
	}
	if !res.Accepted {
		w.log.Warn("push not accepted", "device", k.Device, "reason", res.Reason.Code, "wns", res.Reason.DeviceWords)
	}
	return res
}

var _ fleet.Waker = (*Windows)(nil)

// pushJob is what is to be said to a PC about its push channel; nil when there is nothing.
func (t *turn) pushJob(ctx context.Context) (*job, error) {
	if t.st.Scope == "user" {
		return nil, nil
	}
	p, err := t.w.fleet.WindowsPush(ctx)
	if err != nil {
		return nil, err
	}
	if p == nil {
		if t.st.Family == "" {
			return nil, nil
		}
		return closeChannel(), nil
	}
	if t.st.Family != p.Family {
		return openChannel(p.Family, false), nil
	}
	_, stale := t.w.stale.Load(t.c.Identity.Device)
	if !stale && t.c.At.Before(t.st.ChannelNext) {
		return nil, nil
	}
	return openChannel(p.Family, true), nil
}

// openChannel reads the channel of a PC, which is told the name first when it does not know it.
func openChannel(family string, told bool) *job {
	j := &job{Channel: fleet.DeviceChannel, Push: family, Batches: one(get(pushNode+"ChannelURI"), get(pushNode+"Status"))}
	if !told {
		j.Batches = append(one(set(verbReplace, pushNode+"PFN", "chr", family)), j.Batches...)
	}
	return j
}

// closeChannel takes the name back.
func closeChannel() *job {
	return &job{Channel: fleet.DeviceChannel, Push: pushOff, Batches: one(del(pushNode + "PFN"))}
}

// pushOff marks the job that closes a channel.
const pushOff = "-"

// channelTold takes in what a PC said about its channel.
func (t *turn) channelTold(ctx context.Context, j *job) error {
	d := t.c.Identity.Device
	t.st.ChannelNext = t.c.At.UTC().Add(channelEvery)
	channel := ""
	switch {
	case j.Push == pushOff:
		t.st.Family = ""
	default:
		if c := j.failed(); c != nil && c.URI == pushNode+"PFN" {
			t.w.log.Warn("push not taken", "device", d, "code", c.Code)
			return nil // asked again tomorrow
		}
		t.st.Family = j.Push
		status := ""
		j.each(func(c *command) {
			if !c.good() || c.Value == nil {
				return
			}
			switch c.URI {
			case pushNode + "ChannelURI":
				channel = strings.TrimSpace(*c.Value)
			case pushNode + "Status":
				status = *c.Value
			}
		})
		if channel == "" { // it is being opened
			t.st.ChannelNext = time.Time{}
			if status != "" && status != "0" && status != "4" {
				t.w.log.Warn("PC has no push channel", "device", d, "status", label(status))
				t.st.ChannelNext = t.c.At.UTC().Add(time.Hour)
			}
			return nil
		}
		if !validChannel(channel) {
			t.w.log.Warn("push channel refused: not under notify.windows.com", "device", d)
			channel = ""
		}
	}
	_, stale := t.w.stale.LoadAndDelete(d)
	sum := []byte(nil)
	if channel != "" {
		sum = hashOf(channel)
	}
	if bytes.Equal(sum, t.st.Channel) && !stale {
		return nil
	}
	sealed, err := t.w.sealAddress(d, channel)
	if err != nil {
		return err
	}
	if _, err := t.w.fleet.Reach(ctx, t.on(fleet.DeviceChannel), sealed); err != nil {
		return fmt.Errorf("keep push channel: %w", err)
	}
	t.st.Channel = sum
	return nil
}
