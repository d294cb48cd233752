package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"muster/store"
)

// factSheet holds what a device told of itself, as far as the register allows.
type factSheet struct {
	Device DeviceID         `json:"device"`
	Facts  map[FactKey]Fact `json:"facts"`
}

var facts = store.Define("fc", func(s *factSheet) string { return string(s.Device) })

// inventory is the list of apps of a device, within what D3 allows.
type inventory struct {
	Device DeviceID  `json:"device"`
	At     time.Time `json:"at"`
	Apps   []App     `json:"apps"`
}

var inventories = store.Define("al", func(i *inventory) string { return string(i.Device) })

// What a device tells is bounded, whoever it is.
const (
	factText = 1000    // bytes of a text
	factMost = 4 << 10 // bytes of any fact, as JSON
	appsMost = 1000
)

// unanswered stands among what a device told for a fact that it was asked and left out of its answer. What it told before is kept, and is from then
// on shown as no longer reported: a device leaves out what it has no more (a SIM), and just as well what it could not read that day.
type unanswered struct{}

// saveFacts is the only place that stores facts. What the register does not allow of this device is dropped here, whatever the platform
// package handed over; the device's model, serial number and system version are copied for lists. The caller stores d.
func (f *Fleet) saveFacts(tx store.Tx, d *Device, told map[FactKey]any, at time.Time) error {
	if len(told) == 0 {
		return nil
	}
	settings, err := f.settings(tx)
	if err != nil {
		return err
	}
	on := switchesFor(settings, d.Switches, d.Ownership)
	sheet, err := factsOf(tx, d.ID)
	if err != nil {
		return err
	}
	for k, v := range told {
		if !Allowed(k, d.Target(), on) {
			continue
		}
		if _, ok := v.(unanswered); ok {
			if x, had := sheet.Facts[k]; had && x.Lacked.IsZero() {
				x.Lacked = at.UTC()
				sheet.Facts[k] = x
			}
			continue
		}
		if s, ok := v.(string); ok {
			v = clip(s, factText)
		}
		if v == nil {
			delete(sheet.Facts, k)
			continue
		}
		if b, err := json.Marshal(v); err != nil || len(b) > factMost {
			f.log.Warn("fact of a device is too big or strange", "device", d.ID, "fact", k, "bytes", len(b))
			continue
		}
		sheet.Facts[k] = Fact{Key: k, Value: v, At: at.UTC()}
	}
	for k := range sheet.Facts { // a switch may have been turned off since
		if !Allowed(k, d.Target(), on) {
			delete(sheet.Facts, k)
		}
	}
	text := func(k FactKey) string { s, _ := sheet.Facts[k].Value.(string); return s }
	if s := text(FactModelName); s != "" {
		d.Model = s
	} else if s := text(FactProduct); s != "" && d.Model == "" {
		d.Model = s
	} else if s := text(FactModel); s != "" && d.Model == "" {
		d.Model = s
	}
	if s := text(FactOSVersion); s != "" {
		d.OSVersion = s
	}
	// Where its own name may not be kept, what it is and whose it is say more once the device has told its model.
	if own := text(FactDeviceName); !d.Named && (own != "" || !Allowed(FactDeviceName, d.Target(), nil)) {
		name, err := nameFor(tx, d, own)
		if err != nil {
			return err
		}
		d.Name = clip(name, 200)
	}
	if s := text(FactSerial); s != "" && s != d.Serial {
		d.Serial = s
		if err := f.noteTwins(tx, d); err != nil {
			return err
		}
	}
	return facts.Put(tx, sheet)
}

// dropUnallowed forgets the facts that may be kept of a device no longer.
func (f *Fleet) dropUnallowed(tx store.Tx, d *Device) error {
	s, err := f.settings(tx)
	if err != nil {
		return err
	}
	sheet, err := factsOf(tx, d.ID)
	if err != nil {
		return err
	}
	on, had := switchesFor(s, d.Switches, d.Ownership), len(sheet.Facts)
	for k := range sheet.Facts {
		if !Allowed(k, d.Target(), on) {
			delete(sheet.Facts, k)
		}
	}
	if len(sheet.Facts) == had {
		return nil
	}
	return facts.Put(tx, sheet)
}

func factsOf(tx store.Tx, d DeviceID) (*factSheet, error) {
	sheet, err := facts.Get(tx, string(d))
	if errors.Is(err, store.ErrNotFound) {
		sheet, err = &factSheet{Device: d}, nil
	}
	if err != nil {
		return nil, err
	}
	if sheet.Facts == nil {
		sheet.Facts = map[FactKey]Fact{}
	}
	return sheet, nil
}

// noteTwins warns, on both, when two devices have one serial number. Nothing is merged: one of them lies, and which is for a person to find out.
func (f *Fleet) noteTwins(tx store.Tx, d *Device) error {
	if d.Serial == "" {
		return nil
	}
	var twins []*Device
	if err := devices.Each(tx, store.Query{Index: "serial", Value: d.Serial}, func(x *Device) (bool, error) {
		if x.ID != d.ID && !x.State.ended() {
			twins = append(twins, x)
		}
		return len(twins) < 20, nil
	}); err != nil {
		return err
	}
	for _, x := range twins {
		old := x.snapshot()
		for _, pair := range [][2]*Device{{d, x}, {x, d}} {
			w := Why("device.serial-twice", "serial", d.Serial, "other", string(pair[1].ID), "name", pair[1].Name)
			pair[0].Warning = &w
			if err := f.event(tx, pair[0].ID, Why("event.serial-twice", "serial", d.Serial, "other", pair[1].Name), Evidence{}, ""); err != nil {
				return err
			}
			if err := f.record(tx, Job("enrolment"), "warn", "device/"+string(pair[0].ID), pair[0].Name, pair[0].Tags, nil, w); err != nil {
				return err
			}
		}
		if err := f.saveDevice(tx, old, x); err != nil {
			return err
		}
	}
	return nil
}

// partTwins takes the warning off the device that is left when one of two with one serial number has ended.
func (f *Fleet) partTwins(tx store.Tx, d *Device) error {
	if d.Serial == "" {
		return nil
	}
	var left []*Device
	if err := devices.Each(tx, store.Query{Index: "serial", Value: d.Serial}, func(x *Device) (bool, error) {
		if x.ID != d.ID && !x.State.ended() {
			left = append(left, x)
		}
		return len(left) < 2, nil
	}); err != nil {
		return err
	}
	d.Warning = nil
	if len(left) != 1 || left[0].Warning == nil || left[0].Warning.Code != "device.serial-twice" {
		return nil
	}
	old := left[0].snapshot()
	left[0].Warning = nil
	return f.saveDevice(tx, old, left[0])
}

// saveApps keeps an app list: all of a corporate device, of a personal one managed apps only and only if that was switched on and accepted.
func (f *Fleet) saveApps(tx store.Tx, d *Device, q QueryKind, apps []App, at time.Time) error {
	settings, err := f.settings(tx)
	if err != nil {
		return err
	}
	on := switchesFor(settings, d.Switches, d.Ownership)
	all, managed := Allowed(FactApps, d.Target(), on), Allowed(FactManagedApps, d.Target(), on)
	inv, err := inventories.Get(tx, string(d.ID))
	if errors.Is(err, store.ErrNotFound) {
		inv, err = &inventory{Device: d.ID}, nil
	}
	if err != nil {
		return err
	}
	known := map[string]App{}
	for _, x := range inv.Apps {
		known[x.ID] = x
	}
	listed := map[string]bool{}
	var keep []App
	for _, x := range apps {
		x = App{ID: clip(x.ID, 300), Name: clip(x.Name, 300), Version: clip(x.Version, 100), Managed: x.Managed}
		old, had := known[x.ID]
		// A list of managed apps tells no names; a list of all apps may not tell which are managed.
		// Of a personal device nothing counts as managed that the platform did not call so.
		x.Managed = x.Managed || had && old.Managed || d.Ownership == Corporate && q == QueryManagedApps
		if had && x.Name == "" {
			x.Name = old.Name
		}
		if had && x.Version == "" {
			x.Version = old.Version
		}
		if all || managed && x.Managed {
			keep = append(keep, x)
			listed[x.ID] = true
		}
	}
	if q == QueryManagedApps && all { // what else is known stays
		for _, x := range inv.Apps {
			if !listed[x.ID] {
				x.Managed = false
				keep = append(keep, x)
			}
		}
	}
	if len(keep) == 0 && len(inv.Apps) == 0 {
		return nil
	}
	if len(keep) > appsMost {
		f.log.Warn("app list cut", "device", d.ID, "apps", len(keep))
		keep = keep[:appsMost]
	}
	slices.SortFunc(keep, func(a, b App) int { return strings.Compare(strings.ToLower(a.Name)+a.ID, strings.ToLower(b.Name)+b.ID) })
	inv.Apps, inv.At = keep, at.UTC()
	return inventories.Put(tx, inv)
}

// Facts held about a device now, in the order of the register.
func (f *Fleet) Facts(ctx context.Context, a Actor, id DeviceID) ([]Fact, error) {
	var out []Fact
	err := f.db.View(ctx, func(tx store.Tx) error {
		if _, err := f.deviceOf(tx, a, id, DevicesRead); err != nil {
			return err
		}
		sheet, err := factsOf(tx, id)
		if err != nil {
			return err
		}
		if err := addReplies(tx, sheet); err != nil {
			return err
		}
		for _, d := range Declarations() {
			if x, ok := sheet.Facts[d.Key]; ok {
				out = append(out, x)
			}
		}
		return nil
	})
	return out, err
}

// Apps in the inventory of a device.
func (f *Fleet) Apps(ctx context.Context, a Actor, id DeviceID) ([]App, error) {
	var out []App
	err := f.db.View(ctx, func(tx store.Tx) error {
		if _, err := f.deviceOf(tx, a, id, DevicesRead); err != nil {
			return err
		}
		inv, err := inventories.Get(tx, string(id))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err == nil {
			out = inv.Apps
		}
		return nil
	})
	return out, err
}
