package fleet

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"muster/store"
)

// Of the network log of a device (D10) only numbers are kept: on which day which app spoke to the network how often. The names and addresses that it
// spoke to are a history of what a person read, which is never collected (D4): they are not handed over to fleet at all.

const (
	networkDays = 7  // that numbers are kept for
	networkApps = 10 // of a day, those with the most
)

// NetworkUse is how often one app spoke to the network on one day, by a batch of a log.
type NetworkUse struct {
	Day time.Time // in UTC
	App string
	N   int
}

// heardBatches are the batches of a device's log that were counted, by a hash of each: what is delivered twice, also after a restart or a crash
// of ours, counts once.
type heardBatches struct {
	Device  DeviceID     `json:"device"`
	Batches []heardBatch `json:"batches"` // the oldest first
}

type heardBatch struct {
	Hash []byte    `json:"hash"`
	At   time.Time `json:"at"`
}

var networkHeard = store.Define("nb", func(h *heardBatches) string { return string(h.Device) })

const (
	batchKept   = 8 * 24 * time.Hour // longer than a message waits to be delivered
	batchesMost = 1000               // of a device, which sends some ten a day
)

// take says whether a batch is new, and remembers it.
func (h *heardBatches) take(batch []byte, now time.Time) bool {
	sum := sha256.Sum256(batch)
	hash := sum[:16]
	if slices.ContainsFunc(h.Batches, func(b heardBatch) bool { return bytes.Equal(b.Hash, hash) }) {
		return false
	}
	h.Batches = slices.DeleteFunc(h.Batches, func(b heardBatch) bool { return now.Sub(b.At) > batchKept })
	if n := len(h.Batches) - batchesMost + 1; n > 0 {
		h.Batches = slices.Delete(h.Batches, 0, n)
	}
	h.Batches = append(h.Batches, heardBatch{hash, now.UTC()})
	return true
}

// NoteNetworkUse adds a batch to the numbers of a device, once. batch is what was delivered, of which nothing but a hash is kept. Where the register
// does not allow the numbers, nothing is kept.
func (f *Fleet) NoteNetworkUse(ctx context.Context, c Contact, batch []byte, uses []NetworkUse) error {
	c = f.contact(c)
	return f.db.Update(ctx, func(tx store.Tx) error {
		d, err := f.speaking(tx, c)
		if errors.Is(err, ErrUnrecognized) || err == nil && d.State != Managed {
			return nil
		}
		if err != nil {
			return err
		}
		s, err := f.settings(tx)
		if err != nil || !Allowed(FactNetworkUse, d.Target(), switchesFor(s, d.Switches, d.Ownership)) {
			return err
		}
		heard, err := networkHeard.Get(tx, string(d.ID))
		if errors.Is(err, store.ErrNotFound) {
			heard, err = &heardBatches{Device: d.ID}, nil
		}
		if err != nil {
			return err
		}
		if !heard.take(batch, f.now()) {
			return nil
		}
		if err := networkHeard.Put(tx, heard); err != nil {
			return err
		}
		sheet, err := factsOf(tx, d.ID)
		if err != nil {
			return err
		}
		n := networkNumbers{}
		n.read(sheet.Facts[FactNetworkUse].Value)
		for _, u := range uses {
			n.add(u.Day.UTC().Format(time.DateOnly), clip(strings.Map(networkName, u.App), 100), u.N)
		}
		return f.saveFacts(tx, d, map[FactKey]any{FactNetworkUse: n.lines(f.now().UTC())}, c.At)
	})
}

// networkName leaves of an app's name what a package can have.
func networkName(r rune) rune {
	if r == '.' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
		return r
	}
	return -1
}

// networkNumbers are the numbers by day and app.
type networkNumbers map[string]map[string]int

func (n networkNumbers) add(day, app string, k int) {
	if app == "" || k <= 0 {
		return
	}
	if n[day] == nil {
		n[day] = map[string]int{}
	}
	n[day][app] += k
}

// read takes the lines of a stored fact: "2026-11-26 com.android.chrome: 12".
func (n networkNumbers) read(stored any) {
	list, _ := stored.([]any)
	for _, x := range list {
		line, _ := x.(string)
		day, rest, _ := strings.Cut(line, " ")
		app, number, _ := strings.Cut(rest, ": ")
		if k, err := strconv.Atoi(number); err == nil {
			n.add(day, app, k)
		}
	}
}

// lines are what is stored: the newest days first, and of each the apps with the most. Nothing is older than networkDays, and nothing lies ahead.
func (n networkNumbers) lines(now time.Time) []string {
	oldest, newest := now.Add(-networkDays*24*time.Hour).Format(time.DateOnly), now.Add(24*time.Hour).Format(time.DateOnly)
	var out []string
	days := slices.Sorted(maps.Keys(n))
	slices.Reverse(days)
	for _, day := range days {
		if day <= oldest || day > newest {
			continue
		}
		apps := slices.SortedFunc(maps.Keys(n[day]), func(a, b string) int { return cmp.Or(n[day][b]-n[day][a], cmp.Compare(a, b)) })
		for i, app := range apps {
			if i < networkApps {
				out = append(out, fmt.Sprintf("%s %s: %d", day, app, n[day][app]))
			}
		}
	}
	for len(out) > 0 {
		if b, err := json.Marshal(out); err == nil && len(b) <= factMost {
			break
		}
		out = out[:len(out)-1]
	}
	return out
}
