package appliance

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"muster/appliance/fleet"
	"muster/appliance/sim"
	"muster/pki"
)

// act orders something, with the device's name where it is asked for.
func (s *strict) act(id fleet.DeviceID, t fleet.ActionType, o fleet.ActionOptions) *fleet.Action {
	s.t.Helper()
	d, err := s.Appliance.fleet.Device(s.t.Context(), s.Actor, id)
	if err != nil {
		s.t.Fatal(err)
	}
	a, err := s.Appliance.fleet.Act(s.t.Context(), s.Actor, id, t, o, d.Name)
	if err != nil {
		s.t.Fatalf("%s: %v", t, err)
	}
	return a
}

// closedReceipt is the newest receipt of a device; it is closed.
func (s *strict) closedReceipt(id fleet.DeviceID) *fleet.Receipt {
	s.t.Helper()
	l, err := s.Appliance.fleet.Receipts(s.t.Context(), s.Actor, id, fleet.ListQuery{Limit: 1})
	if err != nil {
		s.t.Fatal(err)
	}
	if len(l.Items) == 0 || l.Items[0].Closed == nil {
		s.t.Fatalf("no closed receipt: %+v", l.Items)
	}
	return l.Items[0]
}

// turnedAway wants the answer that a device of an ended enrolment gets, on every message, by connection and by signature.
func (r *rogue) turnedAway() {
	r.w.t.Helper()
	mark := r.w.log.mark()
	for name, a := range map[string]answer{
		"a call": r.connect(r.idle()), "a result": r.connect(message("UDID", r.udid, "Status", "Acknowledged", "CommandUUID", "x")),
		"TokenUpdate": r.checkIn(r.tokenUpdate()), "Authenticate": r.checkIn(r.authenticate()), "CheckOut": r.checkIn(r.check("CheckOut", "Topic", r.topic)),
		"GetBootstrapToken": r.checkIn(r.check("GetBootstrapToken")), "nonsense": r.checkIn([]byte("nonsense")),
		"a signed call": r.w.put(r.w.deviceClient(nil), r.w.config.DeviceURL+"/mdm/apple/connect", kindCommand, r.idle(), "Mdm-Signature", signed(r.w.t, r.idle(), r.identity)),
	} {
		if a.status != http.StatusForbidden || !strings.Contains(a.body, "<key>code</key>") || !strings.Contains(a.body, "<string>com.apple.unrecognized.device</string>") {
			r.w.t.Errorf("%s: answered %d %q, want 403 com.apple.unrecognized.device", name, a.status, a.body)
		}
	}
	json := r.send("connect", kindCommand, r.idle(), "Accept", "application/json")
	if json.status != 403 || json.kind != "application/json" || !strings.Contains(json.body, `"code":"com.apple.unrecognized.device"`) {
		r.w.t.Errorf("asking for JSON: %d %s %q", json.status, json.kind, json.body)
	}
	if !strings.Contains(r.w.log.since(mark), "device of an ended enrolment turned away") {
		r.w.t.Errorf("nothing in the log: %s", r.w.log.since(mark))
	}
}

// A removed device is handed its removal first; once that is proved it is told that it is known no more.
func TestRemovedDeviceIsHandedItsRemovalFirst(t *testing.T) {
	for _, order := range []fleet.ActionType{fleet.ActRetire, fleet.ActDelete, fleet.ActWipe} {
		t.Run(string(order), func(t *testing.T) {
			w := newStrict(t)
			r, id := w.enrolled("Anna", fleet.Corporate)
			r.settle()
			if len(r.installed) == 0 {
				t.Fatalf("nothing was delivered: %v", r.commands)
			}
			w.act(id, order, fleet.ActionOptions{})
			r.commands = nil
			// It shows itself in every way first: each is answered as if it were managed, none sends it away.
			r.want(200, r.checkIn(r.tokenUpdate()))
			r.want(200, r.checkIn(r.check("DeclarativeManagement", "Endpoint", "tokens")))
			r.settle()
			want := "RemoveProfile"
			if order == fleet.ActWipe {
				want = "EraseDevice"
			}
			if !r.left || !strings.Contains(strings.Join(r.commands, " "), want) {
				t.Fatalf("it was handed %v", r.commands)
			}
			receipt := w.closedReceipt(id)
			if receipt.Outcome != "proved" {
				t.Errorf("receipt %q: %+v", receipt.Outcome, receipt.Rows)
			}
			r.turnedAway()
			if order == fleet.ActDelete {
				if r.device() != nil {
					t.Error("the deleted device's record is still there")
				}
				if !w.audited("delete", "device/"+string(id)) {
					t.Error("no record of the deletion")
				}
			} else if events := w.timeline(id); !strings.Contains(events, "event.state") {
				t.Errorf("timeline: %s", events)
			}
		})
	}
}

// Access ends with the order, the door for fetching it stays open; after DoorDays it closes, and the receipt says what is not proved.
func TestDoorClosesWithoutProof(t *testing.T) {
	w := newStrict(t)
	r, id := w.enrolled("Anna", fleet.Corporate)
	r.settle()
	away, awayID := w.enrolled("Bram", fleet.Corporate)
	away.settle()
	settings, err := w.Appliance.fleet.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	settings.DoorDays = 10
	if _, err := w.Appliance.fleet.SaveSettings(t.Context(), w.Actor, *settings); err != nil {
		t.Fatal(err)
	}
	w.act(id, fleet.ActRetire, fleet.ActionOptions{})
	w.act(awayID, fleet.ActWipe, fleet.ActionOptions{Stolen: true})
	for _, d := range []fleet.DeviceID{id, awayID} {
		for _, c := range w.certificates(d) {
			if c.Purpose == string(pki.Access) && c.State == fleet.CertificateLive {
				t.Errorf("certificate %s still opens something", c.Serial)
			}
		}
	}
	r.refuses = "RemoveProfile" // it calls, and does not do it
	r.settle()
	w.forward(9 * 24 * time.Hour)
	r.want(200, r.connect(r.idle()))
	if d := r.device(); d.State != fleet.Retiring {
		t.Fatalf("closed too early: %s", d.State)
	}
	w.forward(25 * time.Hour)
	for _, c := range []struct {
		r    *rogue
		id   fleet.DeviceID
		kind string
	}{{r, id, "retire"}, {away, awayID, "wipe"}} {
		if d := c.r.device(); d.State != fleet.Closed {
			t.Errorf("%s: state %s, want closed", c.kind, d.State)
		}
		receipt := w.closedReceipt(c.id)
		if receipt.Outcome != "not-proved" && receipt.Outcome != "partly" {
			t.Errorf("%s: receipt %q", c.kind, receipt.Outcome)
		}
		for _, row := range receipt.Rows {
			if row.Data == "management" && row.Proved != "not-proved" {
				t.Errorf("%s: management is %s without proof", c.kind, row.Proved)
			}
		}
		for _, cert := range w.certificates(c.id) {
			if cert.State == fleet.CertificateLive {
				t.Errorf("%s: certificate %s (%s) lives on", c.kind, cert.Serial, cert.Purpose)
			}
		}
		c.r.turnedAway()
		if !w.audited("end-enrolment", "device/"+string(c.id)) {
			t.Errorf("%s: nothing in the log", c.kind)
		}
	}
	if !strings.Contains(w.needed(), "need.removal-not-proved") {
		t.Errorf("needs: %s", w.needed())
	}
}

func (s *strict) certificates(id fleet.DeviceID) []fleet.CertificateView {
	s.t.Helper()
	l, err := s.Appliance.fleet.Certificates(s.t.Context(), s.Actor, fleet.CertificateFilter{Device: id}, fleet.ListQuery{Limit: 100})
	if err != nil {
		s.t.Fatal(err)
	}
	return l.Items
}

// The same hardware under a new invitation: what was ordered of the former enrolment does not follow it.
func TestReenrolment(t *testing.T) {
	w := newStrict(t)
	w.run(t, "with an open wipe", func(t *testing.T) {
		r, id := w.enrolled("Anna", fleet.Corporate)
		r.settle()
		wipe := w.act(id, fleet.ActWipe, fleet.ActionOptions{})
		old := r.identity
		again := w.again(r)
		if got := again.enrol(w.invitation("Bram", fleet.IOS, fleet.Personal, 1)); got != id {
			t.Errorf("another device: %s and %s", got, id)
		}
		again.settle()
		if strings.Contains(strings.Join(again.commands, " "), "EraseDevice") {
			t.Error("the wipe of the former enrolment was handed to the new one")
		}
		a, err := w.Appliance.fleet.Action(t.Context(), w.Actor, wipe.ID)
		if err != nil || a.State != fleet.ActionOvertaken {
			t.Errorf("the wipe is %+v, %v; want overtaken", a, err)
		}
		if receipt := w.closedReceipt(id); receipt.Outcome != "overtaken" {
			t.Errorf("receipt %q", receipt.Outcome)
		}
		if !w.audited("re-enrol", "device/"+string(id)) || !strings.Contains(w.timeline(id), "event.re-enrol") {
			t.Errorf("timeline: %s", w.timeline(id))
		}
		r.be(old)
		r.want(400, r.connect(r.idle())) // it is the same hardware: never sent away
		if d := again.device(); d.Person != w.people["Bram"] || d.Ownership != fleet.Personal || d.State != fleet.Managed {
			t.Errorf("device %+v", d)
		}
		again.works()
	})
	w.run(t, "of one marked stolen", func(t *testing.T) {
		r, id := w.enrolled("Anna", fleet.Corporate)
		r.settle()
		w.act(id, fleet.ActWipe, fleet.ActionOptions{Stolen: true})
		again := w.again(r)
		again.open(w.invitation("Bram", fleet.IOS, fleet.Corporate, 1))
		again.obtain()
		mark := w.log.mark()
		again.want(400, again.checkIn(again.authenticate()))
		if !strings.Contains(w.log.since(mark), "device.stolen") || !strings.Contains(w.timeline(id), "event.stolen-enrolment") || !w.audited("refuse-enrolment", "device/"+string(id)) {
			t.Errorf("log %q, timeline %s", w.log.since(mark), w.timeline(id))
		}
		if d := r.device(); d.State != fleet.Wiping || d.Enrolment == "" {
			t.Errorf("device %+v", d)
		}
		r.settle() // the wipe still stands
		if !r.left {
			t.Errorf("the wipe is gone: %v", r.commands)
		}
		again.want(400, again.checkIn(again.authenticate())) // and wiped it stays stolen
		no := false
		if _, err := w.Appliance.fleet.UpdateDevice(t.Context(), w.Actor, id, fleet.DeviceInput{Stolen: &no}); err != nil {
			t.Fatal(err)
		}
		again.want(200, again.checkIn(again.authenticate()))
		again.want(200, again.checkIn(again.tokenUpdate()))
		again.works()
	})
	w.run(t, "deleted, and invited again before it called", func(t *testing.T) {
		r, id := w.enrolled("Anna", fleet.Corporate)
		r.settle()
		w.act(id, fleet.ActDelete, fleet.ActionOptions{})
		again := w.again(r)
		if got := again.enrol(w.invitation("Anna", fleet.IOS, fleet.Corporate, 1)); got != id {
			t.Errorf("another device: %s and %s", got, id)
		}
		if d := again.device(); d.Hidden || d.State != fleet.Managed {
			t.Errorf("still away: %+v", d)
		}
		again.works()
		if strings.Contains(strings.Join(again.commands, " "), "RemoveProfile") {
			t.Error("the deletion followed it")
		}
		if receipt := w.closedReceipt(id); receipt.Outcome != "overtaken" {
			t.Errorf("receipt %q", receipt.Outcome)
		}
	})
	w.run(t, "deleted, gone, and invited again", func(t *testing.T) {
		r, id := w.enrolled("Anna", fleet.Corporate)
		r.settle()
		w.act(id, fleet.ActDelete, fleet.ActionOptions{})
		r.settle()
		r.turnedAway()
		again := w.again(r)
		if got := again.enrol(w.invitation("Anna", fleet.IOS, fleet.Corporate, 1)); got == id {
			t.Error("it came back under the record that was deleted for good")
		}
		again.works()
		r.turnedAway()
		if w.closedReceipt(id).Outcome != "proved" {
			t.Error("the former receipt changed")
		}
	})
	w.run(t, "the same serial number on other hardware", func(t *testing.T) {
		a, idA := w.enrolled("Anna", fleet.Corporate)
		a.settle()
		b := w.newRogue()
		b.serial = a.serial
		idB := b.enrol(w.invitation("Bram", fleet.IOS, fleet.Corporate, 1))
		if idA == idB {
			t.Fatal("two devices were merged")
		}
		b.settle()
		for _, d := range []*fleet.Device{a.device(), b.device()} {
			if d.Warning == nil || d.Warning.Code != "device.serial-twice" || d.Warning.Args["serial"] != a.serial {
				t.Errorf("warning %+v", d.Warning)
			}
			if !strings.Contains(w.timeline(d.ID), "event.serial-twice") || !w.audited("warn", "device/"+string(d.ID)) {
				t.Errorf("nothing is written of it: %s", w.timeline(d.ID))
			}
		}
		w.forward(3 * time.Minute) // Needs looks at all devices every two minutes
		if strings.Count(w.needed(), "device.serial-twice") != 2 {
			t.Errorf("needs: %s", w.needed())
		}
		a.works()
		b.works()
	})
}

// again is the same hardware with a new identity to come.
func (s *strict) again(r *rogue) *rogue {
	n := s.newRogue()
	n.udid, n.serial, n.platform = r.udid, r.serial, r.platform
	return n
}

// What a person does in the middle of a removal, and what an administrator thinks better of.
func TestRemovalInterrupted(t *testing.T) {
	w := newStrict(t)
	w.run(t, "the person removes management during a retire", func(t *testing.T) {
		r, id := w.enrolled("Anna", fleet.Personal)
		r.settle()
		w.act(id, fleet.ActRetire, fleet.ActionOptions{})
		r.want(200, r.checkIn(r.check("CheckOut", "Topic", r.topic)))
		if d := r.device(); d.State != fleet.Retired {
			t.Errorf("state %s, want retired", d.State)
		}
		if receipt := w.closedReceipt(id); receipt.Outcome != "proved" {
			t.Errorf("receipt %q: %+v", receipt.Outcome, receipt.Rows)
		}
		r.turnedAway()
	})
	w.run(t, "the person removes management by themselves", func(t *testing.T) {
		r, id := w.enrolled("Anna", fleet.Personal)
		r.settle()
		r.want(200, r.checkIn(r.check("CheckOut", "Topic", r.topic)))
		if d := r.device(); d.State != fleet.Left {
			t.Errorf("state %s, want left", d.State)
		}
		if receipt := w.closedReceipt(id); receipt.Kind != "left" {
			t.Errorf("receipt %+v", receipt)
		}
		if !w.audited("end-enrolment", "device/"+string(id)) {
			t.Error("nothing in the log")
		}
		r.turnedAway()
	})
	w.run(t, "a retire called off before it was sent", func(t *testing.T) {
		r, id := w.enrolled("Anna", fleet.Corporate)
		r.settle()
		had := len(r.installed)
		a := w.act(id, fleet.ActRetire, fleet.ActionOptions{})
		if err := w.Appliance.fleet.CallOff(t.Context(), w.Actor, a.ID); err != nil {
			t.Fatal(err)
		}
		if receipt := w.closedReceipt(id); receipt.Outcome != "called-off" {
			t.Errorf("receipt %q", receipt.Outcome)
		}
		r.works()
		if len(r.installed) != had {
			t.Errorf("%d profiles, had %d", len(r.installed), had)
		}
		if !w.audited("call-off", "device/"+string(id)) {
			t.Error("nothing in the log")
		}
	})
	w.run(t, "a retire called off after it was sent", func(t *testing.T) {
		r, id := w.enrolled("Anna", fleet.Corporate)
		r.settle()
		a := w.act(id, fleet.ActRetire, fleet.ActionOptions{})
		first := commandIn(t, r.want(200, r.connect(r.idle())).body)
		if first.Command.RequestType != "RemoveProfile" {
			t.Fatalf("handed %s", first.Command.RequestType)
		}
		err := w.Appliance.fleet.CallOff(t.Context(), w.Actor, a.ID)
		if !errors.Is(err, fleet.ErrConflict) {
			t.Errorf("called off too late: %v", err)
		}
		r.settle()
		if !r.left || w.closedReceipt(id).Outcome != "proved" {
			t.Errorf("it did not go: %v", r.commands)
		}
	})
	w.run(t, "a wipe that is acknowledged, and its token dies", func(t *testing.T) {
		phone, id := w.device(sim.Options{Kind: sim.IPhone, Name: "Wiped", Seed: 77}, "Anna", fleet.Corporate)
		w.world.settle(id, fleet.StatusSucceeded)
		w.act(id, fleet.ActWipe, fleet.ActionOptions{})
		w.eventually("the phone is wiped", func() bool { return phone.State().Wiped })
		w.eventually("the receipt is closed", func() bool {
			l, err := w.Appliance.fleet.Receipts(t.Context(), w.Actor, id, fleet.ListQuery{Limit: 1})
			return err == nil && len(l.Items) == 1 && l.Items[0].Closed != nil
		})
		if receipt := w.closedReceipt(id); receipt.Outcome != "proved" {
			t.Errorf("receipt %q: %+v", receipt.Outcome, receipt.Rows)
		}
		if d, err := w.Appliance.fleet.Device(t.Context(), w.Actor, id); err != nil || d.State != fleet.Wiped || len(d.Channels) != 0 {
			t.Errorf("device %+v, %v", d, err)
		}
	})
	w.run(t, "a wipe whose acknowledgement is lost, and its token dies", func(t *testing.T) {
		r, id := w.enrolled("Anna", fleet.Corporate)
		r.settle()
		w.act(id, fleet.ActWipe, fleet.ActionOptions{})
		first := commandIn(t, r.want(200, r.connect(r.idle())).body)
		if first.Command.RequestType != "EraseDevice" {
			t.Fatalf("handed %s", first.Command.RequestType)
		}
		// APNs knows no token of a rogue: it answers 410 or 400 for it, as after an erasure.
		w.forward(2 * time.Hour)
		w.eventually("the device is no longer pushed to or is still wiping", func() bool { return r.device().State == fleet.Wiping })
		again := commandIn(t, r.want(200, r.connect(r.idle())).body) // it lives after all: repeated until proved
		if again.Command.RequestType != "EraseDevice" {
			t.Errorf("handed %s", again.Command.RequestType)
		}
		r.want(200, r.connect(message("UDID", r.udid, "Status", "Acknowledged", "CommandUUID", again.CommandUUID)))
		if receipt := w.closedReceipt(id); receipt.Outcome != "proved" {
			t.Errorf("receipt %q", receipt.Outcome)
		}
		r.turnedAway()
	})
	w.run(t, "a restore lost the record", func(t *testing.T) {
		r, _ := w.enrolled("Anna", fleet.Corporate)
		r.settle()
		ghost := *r
		ghost.be(w.issue(pki.Binding{Purpose: pki.Management, Enrolment: "01ARZ3NDEKTSV4RRFFQ69G5FZZ", Generation: 1}, false))
		for range 3 {
			ghost.want(400, ghost.connect(ghost.idle()))
			ghost.want(400, ghost.checkIn(ghost.authenticate()))
			ghost.want(400, ghost.checkIn(ghost.check("CheckOut", "Topic", r.topic)))
		}
		if !strings.Contains(w.needed(), "need.strangers") {
			t.Errorf("needs: %s", w.needed())
		}
		r.works()
	})
}
