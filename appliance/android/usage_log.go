package android

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"muster/appliance/fleet"
)

// usageBatch is BatchUsageLogEvents, as far as it is looked at: names and addresses that apps spoke to are not even read.
type usageBatch struct {
	Device string `json:"device"`
	Events []struct {
		Type    string `json:"eventType"`
		At      moment `json:"eventTime"`
		Connect struct {
			Package string `json:"packageName"`
		} `json:"connectEvent"`
	} `json:"usageLogEvents"`
}

// usageMost is how many events of a batch are counted.
const usageMost = 100_000

// noteUsage takes a batch of a network log in. What it holds besides numbers of connections is let go. Google gives batches no name: one that comes
// again is known by its bytes.
func (a *Android) noteUsage(ctx context.Context, conn *connection, data []byte) error {
	var b usageBatch
	if json.Unmarshal(data, &b) != nil || enterpriseOf(b.Device) != conn.account.Enterprise {
		return nil
	}
	rec, err := a.recordOfDevice(ctx, b.Device)
	if err != nil || rec == nil || rec.DeviceID == "" {
		return err
	}
	uses := countUses(&b)
	if len(uses) == 0 {
		return nil
	}
	c := fleet.Contact{Identity: fleet.Identity{Enrolment: rec.Enrolment, Device: rec.DeviceID}, Channel: fleet.DeviceChannel, At: a.now()}
	err = a.fleet.NoteNetworkUse(ctx, c, data, uses)
	if errors.Is(err, fleet.ErrNoRecord) || errors.Is(err, fleet.ErrIdentity) {
		return nil // it has left
	}
	return err
}

// countUses counts the connections of a batch by day and app.
func countUses(b *usageBatch) []fleet.NetworkUse {
	counts := map[fleet.NetworkUse]int{}
	for i, e := range b.Events {
		if i == usageMost {
			break
		}
		if e.Type == "CONNECT" && e.Connect.Package != "" && !e.At.IsZero() {
			counts[fleet.NetworkUse{Day: e.At.UTC().Truncate(24 * time.Hour), App: e.Connect.Package}]++
		}
	}
	out := make([]fleet.NetworkUse, 0, len(counts))
	for u, n := range counts {
		u.N = n
		out = append(out, u)
	}
	return out
}

// logsNetwork says whether a policy has the network log on: where the register allows its numbers, on a device that has it (UsageLog: fully managed since
// Android 8, with a work profile of a company's since Android 12), and only where its batches reach us.
func (r *rendering) logsNetwork() bool {
	since := map[fleet.Mode]int{fleet.ModeFullyManaged: 8, fleet.ModeKiosk: 8, fleet.ModeCompanyWorkProfile: 12}[r.mode]
	return since > 0 && r.frame.System >= since && r.frame.Notified && r.may(fleet.FactNetworkUse)
}
