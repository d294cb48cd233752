package appliance

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"muster/appliance/fleet"
	"muster/appliance/sim"
)

// DemoDevice is one simulated device and the part it plays.
type DemoDevice struct {
	part  part
	Sim   *sim.Apple   // nil for a PC
	PC    *sim.Windows // nil for an Apple device
	Phone *sim.Android // nil for any other
	ID    fleet.DeviceID

	googleName string // of an Android
}

// simulated is what the play asks of a device, whoever made it.
type simulated interface {
	Enrol(ctx context.Context, link string) error
	Run(ctx context.Context) error
}

func (d *DemoDevice) simulated() simulated {
	switch {
	case d.Phone != nil:
		return d.Phone
	case d.PC != nil:
		return d.PC
	}
	return d.Sim
}

// part is one role in the demo's play.
type part struct {
	person    string // first name; empty = a device with no person
	name      string
	kind      sim.Kind   // of Apple devices
	pc        bool       // a Windows PC
	android   fleet.Mode // an Android in that mode
	weak      bool       // an Android whose person sets no password
	ownership fleet.Ownership
	mood      sim.Mood
	pcMood    sim.WindowsMood
	manual    string // an Exchange account set up by hand
	passcode  string
	order     fleet.ActionType // what the administrator orders once it is enrolled
	stolen    bool
}

// parts is the cast: between them they show every state that a device can be in.
var parts = []part{
	{person: "Anna", name: "Anna's iPhone", kind: sim.IPhone, ownership: fleet.Corporate, passcode: "482913"},
	{person: "Bram", name: "Bram's iPhone", kind: sim.IPhone, ownership: fleet.Personal, passcode: "771204", mood: sim.Mood{LosesAnswers: 1}},
	{person: "Carla", name: "Carla's iPad", kind: sim.IPad, ownership: fleet.Corporate, order: fleet.ActLock, passcode: "1905", mood: sim.Mood{NotNow: 2, NotNowFor: 3 * time.Second}},
	{person: "Daan", name: "Daan's iPhone", kind: sim.IPhone, ownership: fleet.Personal, manual: "daan@noordhaven.example", passcode: "550612"},
	{person: "Eva", name: "Eva's MacBook", kind: sim.Mac, ownership: fleet.Corporate, mood: sim.Mood{UserLogsInAfter: time.Second}},
	{person: "Farid", name: "Farid's Mac mini", kind: sim.Mac, ownership: fleet.Corporate},
	{person: "Greet", name: "Greet's iPhone", kind: sim.IPhone, ownership: fleet.Corporate, mood: sim.Mood{OfflineAfterEnrol: time.Millisecond, OfflineFor: 12 * time.Hour}},
	{person: "Hugo", name: "Hugo's iPhone", kind: sim.IPhone, ownership: fleet.Personal, order: fleet.ActRetire, passcode: "090807"},
	{name: "Counter iPad", kind: sim.IPad, ownership: fleet.Corporate, order: fleet.ActWipe},
	{person: "Anna", name: "Anna's old iPhone", kind: sim.IPhone, ownership: fleet.Personal, mood: sim.Mood{RemovesItselfAfter: 8 * time.Second}},
	{person: "Carla", name: "CARLA-LAPTOP", pc: true, ownership: fleet.Corporate, pcMood: sim.WindowsMood{LosesAnswers: 1, Slow: 50 * time.Millisecond}},
	{person: "Hugo", name: "HUGO-PC", pc: true, ownership: fleet.Personal, order: fleet.ActRetire, pcMood: sim.WindowsMood{BreaksOff: 1}},
	{person: "Bram", name: "Bram's Android", android: fleet.ModeWorkProfile, ownership: fleet.Personal, passcode: "58204713"},
	{person: "Eva", name: "Eva's work Android", android: fleet.ModeCompanyWorkProfile, ownership: fleet.Corporate},
	{person: "Greet", name: "Greet's work Android", android: fleet.ModeFullyManaged, ownership: fleet.Corporate, order: fleet.ActLock},
	{name: "Android at the door", android: fleet.ModeKiosk, ownership: fleet.Corporate, order: fleet.ActWipe},
	{person: "Daan", name: "Daan's Android", android: fleet.ModeWorkProfile, ownership: fleet.Personal, order: fleet.ActRetire},
	{person: "Farid", name: "Farid's Android", android: fleet.ModeWorkProfile, ownership: fleet.Personal, weak: true},
}

// castOf is so many parts: those that show something first, then more of the same, obedient.
func castOf(count int) []part {
	cast := slices.Clone(parts[:min(count, len(parts))])
	for i := len(parts); i < count; i++ {
		like := parts[i%8]
		cast = append(cast, part{person: like.person, name: fmt.Sprintf("%s %d", like.kind, i+1), kind: like.kind, ownership: fleet.Corporate})
	}
	return cast
}

// enrol invites a person for each device and lets the device go through the enrolment page. Devices then live in g.
func (d *DemoRun) enrol(ctx context.Context, g *errgroup.Group, cast []part) error {
	roots := x509.NewCertPool()
	roots.AddCert(d.Appliance.pki.Root())
	keys := sim.NewKeys(2048, 3*len(cast), 2)
	enrolling, enrolCtx := errgroup.WithContext(ctx)
	enrolling.SetLimit(2)
	for i, p := range cast {
		dev := &DemoDevice{part: p}
		if p.android != "" {
			dev.Phone = sim.NewAndroid(sim.AndroidOptions{Google: d.Google, Seed: int64(i + 1), Roots: roots, FactoryNew: p.android != fleet.ModeWorkProfile, Password: p.passcode,
				PersonalApps: []string{"com.whatsapp", "org.videolan.vlc"}, Mood: sim.AndroidMood{RefusesPassword: p.weak}, Poll: 5 * time.Second, Logger: d.log})
		} else if p.pc {
			dev.PC = sim.NewWindows(sim.WindowsOptions{Name: p.name, Seed: int64(i + 1), Roots: roots, Poll: 2 * time.Second, Keys: keys, Mood: p.pcMood, Logger: d.log})
		} else {
			dev.Sim = sim.NewApple(sim.Options{
				Kind: p.kind, Name: p.name, Seed: int64(i + 1), Roots: roots, Push: d.APNs, Poll: 2 * time.Second, Keys: keys,
				Mood: p.mood, ManualAccount: p.manual, Passcode: p.passcode, Logger: d.log,
			})
		}
		d.Devices = append(d.Devices, dev)
		enrolling.Go(func() error {
			link, err := d.invite(enrolCtx, p)
			if err != nil {
				return err
			}
			if err := dev.simulated().Enrol(enrolCtx, link); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			if dev.Phone != nil {
				dev.googleName = dev.Phone.State().Name
			}
			g.Go(func() error {
				if err := dev.simulated().Run(ctx); err != nil && ctx.Err() == nil {
					d.log.Warn("simulated device stopped", "device", p.name, "err", err)
				}
				return nil
			})
			return nil
		})
	}
	return enrolling.Wait()
}

func (d *DemoRun) invite(ctx context.Context, p part) (string, error) {
	platform, mode := fleet.IOS, fleet.ModeDevice
	switch {
	case p.android != "":
		platform, mode = fleet.Android, p.android
	case p.pc:
		platform = fleet.Windows
	case p.kind == sim.Mac:
		platform = fleet.MacOS
	}
	_, code, err := d.Appliance.fleet.Invite(ctx, d.Actor, fleet.InvitationInput{
		Person: d.people[p.person], Platform: platform, Mode: mode, Ownership: p.ownership,
	})
	if err != nil {
		return "", err
	}
	return d.Appliance.config.URL + "/enroll/" + code, nil
}

// histories plays the administrator's part: orders what the cast calls for, and waits until each has had its effect.
func (d *DemoRun) histories(ctx context.Context) error {
	if err := d.find(ctx); err != nil {
		return err
	}
	f := d.Appliance.fleet
	if _, err := f.CreateStaleRule(ctx, d.Actor, fleet.StaleRuleInput{Kind: fleet.Cleanup, Name: new("Silent for half a year"), Description: new("Phones in drawers")}); err != nil {
		return fmt.Errorf("the demo's rule: %w", err)
	}
	for _, dev := range d.Devices {
		if dev.part.order == "" {
			continue
		}
		if err := d.settled(ctx, dev); err != nil {
			return err
		}
		device, err := f.Device(ctx, d.Actor, dev.ID)
		if err != nil {
			return err
		}
		options := fleet.ActionOptions{Stolen: dev.part.stolen}
		if dev.part.order == fleet.ActLock && dev.Phone == nil {
			options.Message = "Please bring this iPad to the front desk."
		}
		if _, err := f.Act(ctx, d.Actor, dev.ID, dev.part.order, options, device.Name); err != nil {
			return fmt.Errorf("%s %s: %w", dev.part.order, dev.part.name, err)
		}
	}
	return nil
}

// find learns the ids of the enrolled devices: of PCs by the id that they enrolled with, of Androids by Google's name for them, of others by their
// serial numbers.
func (d *DemoRun) find(ctx context.Context) error {
	bySerial := map[string]*DemoDevice{}
	for _, dev := range d.Devices {
		if dev.Phone != nil {
			if err := d.findAndroid(ctx, dev); err != nil {
				return err
			}
			continue
		}
		if dev.PC == nil {
			bySerial[dev.Sim.State().Serial] = dev
			continue
		}
		device, err := d.Appliance.fleet.DeviceByHardware(ctx, strings.ToUpper(dev.PC.State().DeviceID))
		if err != nil {
			return fmt.Errorf("%s: %w", dev.part.name, err)
		}
		dev.ID = device.ID
	}
	q := fleet.ListQuery{Limit: 500}
	for {
		page, err := d.Appliance.fleet.Devices(ctx, d.Actor, fleet.DeviceFilter{}, q)
		if err != nil {
			return err
		}
		for _, device := range page.Items {
			if dev := bySerial[device.Serial]; dev != nil {
				dev.ID = device.ID
			}
		}
		if q.Cursor = page.Next; q.Cursor == "" {
			return nil
		}
	}
}

// settled waits until nothing is pending on a device, for at most 30 seconds: a history is better cut short than waited for.
func (d *DemoRun) settled(ctx context.Context, dev *DemoDevice) error {
	if dev.ID == "" {
		return errors.New(dev.part.name + " is not in the list")
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		s, err := d.Appliance.fleet.Standing(ctx, d.Actor, dev.ID)
		if err == nil && s.Well {
			return nil
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return nil
			}
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}
