package apple

import (
	"context"
	"slices"
	"strings"
	"testing"

	"muster/appliance/fleet"
)

// TestEveryCommandFitsTheSchema renders every order that fleet can hand out, on each platform and for each ownership, and holds it
// against Apple's schema and against the rights that the enrolment carries.
func TestEveryCommandFitsTheSchema(t *testing.T) {
	r, s := newRig(t), loadSchema(t)
	r.fleet.secrets[secretUnlock] = []byte("open sesame")
	r.fleet.enrolment = &fleet.Enrolment{ID: "01ENROLMENT", Platform: fleet.IOS}
	if _, err := r.apple.EnrolmentProfile(context.Background(), "good"); err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, p := range r.apple.Platforms() {
		for _, own := range []fleet.Ownership{fleet.Personal, fleet.Corporate} {
			for _, supervised := range []bool{false, true} {
				d := deviceOf(p, own)
				facts := map[fleet.FactKey]fleet.Fact{"supervised": {Value: supervised}}
				for _, o := range r.everyOrder(d, facts) {
					ch := fleet.DeviceChannel
					if o.Step.Unit != nil {
						ch = o.Step.Unit.Channel
					}
					xml, err := r.apple.render(context.Background(), fleet.Contact{}, o)
					if err != nil {
						t.Errorf("%s %s %+v: %v", own, p, o.Step, err)
						continue
					}
					for _, f := range s.checkCommand(xml, targetOf(p, ch), rightsFor(own), supervised || p == fleet.MacOS) {
						t.Errorf("%s %s %+v: %s", own, p, o.Step, f)
					}
					env, err := readPlist(xml)
					if err != nil {
						t.Fatal(err)
					}
					seen[env.dict("Command").text("RequestType")]++
					if own == fleet.Personal {
						r.checkPrivacy(t, env.dict("Command"))
					}
				}
			}
		}
	}
	for _, want := range []string{"DeviceInformation", "SecurityInfo", "ProfileList", "CertificateList", "InstalledApplicationList", "ManagedApplicationList",
		"InstallProfile", "RemoveProfile", "DeviceLock", "ClearPasscode", "RestartDevice", "EraseDevice"} {
		if seen[want] == 0 {
			t.Errorf("%s was never rendered", want)
		}
	}
}

// everyOrder is each order that can come to a device: queries, actions that are offered with every option, units, renewal and removal.
func (r *rig) everyOrder(d *fleet.Device, facts map[fleet.FactKey]fleet.Fact) []*fleet.Order {
	r.t.Helper()
	var out []*fleet.Order
	add := func(o *fleet.Order) {
		o.ID, o.Device, o.Person = fleet.OrderID("01ORDER"), d, testPerson
		out = append(out, o)
	}
	for _, q := range r.apple.Queries(d) {
		for _, managed := range []bool{false, true} {
			add(&fleet.Order{Step: fleet.Step{Kind: fleet.StepQuery, Query: q}, Facts: r.permitted(q, d), ManagedOnly: managed})
		}
	}
	for _, c := range r.apple.Choices(d, facts) {
		if !c.Offered || slices.Contains([]fleet.ActionType{fleet.ActRetire, fleet.ActDelete, fleet.ActSync}, c.Type) {
			continue
		}
		for _, opt := range optionsOf(c) {
			a := &fleet.Action{ID: "01ACTION", Type: c.Type, Options: opt}
			add(&fleet.Order{Step: fleet.Step{Kind: fleet.StepAction, Action: a.ID}, Action: a, PIN: opt.PIN})
		}
	}
	root, identity := companions(r.t)
	mail := profileOf(r.t, "mail", fleet.TypeEmail, map[string]any{"host": "h.example.nl", "sign_in": "certificate", "identity": "identity"})
	wanted := []*fleet.Profile{root, identity, mail, profileOf(r.t, "code", fleet.TypePasscode, nil)}
	for _, u := range r.apple.Compose(d, wanted) {
		o := r.orderFor(d, u.Key, wanted...)
		add(o)
		add(&fleet.Order{Step: fleet.Step{Kind: fleet.StepRemove, Unit: &u}})
	}
	add(&fleet.Order{Step: fleet.Step{Kind: fleet.StepRenew}, Renewal: "CHALLENGE"})
	add(&fleet.Order{Step: fleet.Step{Kind: fleet.StepUnenrol}})
	return out
}

// permitted are the facts of a query that the register lets be taken from a device with no switch on.
func (r *rig) permitted(q fleet.QueryKind, d *fleet.Device) []fleet.FactKey {
	var out []fleet.FactKey
	for _, k := range r.apple.FactsOf(q, d) {
		if fleet.Allowed(k, d.Target(), nil) {
			out = append(out, k)
		}
	}
	return out
}

// optionsOf are an action's options: none, each alone, and all.
func optionsOf(c fleet.ActionChoice) []fleet.ActionOptions {
	base := fleet.ActionOptions{}
	if c.NeedsPIN {
		base.PIN = "123456"
	}
	out := []fleet.ActionOptions{base}
	all := base
	set := func(change func(*fleet.ActionOptions)) {
		one := base
		change(&one)
		change(&all)
		out = append(out, one)
	}
	for _, o := range c.Options {
		switch o {
		case "message":
			set(func(a *fleet.ActionOptions) { a.Message = `<"Bel ons" & co>` })
		case "phone":
			set(func(a *fleet.ActionOptions) { a.Phone = "+31 20 123 4567" })
		case "keep-data-plan":
			set(func(a *fleet.ActionOptions) { a.KeepDataPlan = true })
		case "no-proximity":
			set(func(a *fleet.ActionOptions) { a.NoProximity = true })
		case "obliterate":
			for _, v := range []string{"Default", "DoNotObliterate", "ObliterateWithWarning", "Always"} {
				set(func(a *fleet.ActionOptions) { a.Obliterate = v })
			}
		}
	}
	return append(out, all)
}

// checkPrivacy holds a command to a personal device against D2 and D3.
func (r *rig) checkPrivacy(t *testing.T, cmd dict) {
	t.Helper()
	switch kind := cmd.text("RequestType"); kind {
	case "DeviceInformation":
		for _, q := range cmd.list("Queries") {
			if slices.Contains([]any{"IMEI", "MEID", "ICCID", simQuery, "PhoneNumber", "WiFiMAC", "DeviceName", "BluetoothMAC", "iTunesStoreAccountIsActive"}, q) {
				t.Errorf("a personal device is asked for %v", q)
			}
		}
	case "CertificateList", "ProfileList", "InstalledApplicationList":
		if cmd["ManagedOnly"] != true && cmd["ManagedAppsOnly"] != true {
			t.Errorf("%s of a personal device is not limited to what Muster delivered", kind)
		}
	case "EraseDevice", "ClearPasscode":
		t.Errorf("%s reaches a personal device", kind)
	}
}

func TestSwitchedOnFactsAreAskedOneByOne(t *testing.T) {
	got := queriesFor(fleet.IOS, []fleet.FactKey{"phone-number", "carrier", "wifi-mac"})
	want := []string{"PhoneNumber", "CurrentCarrierNetwork", "SubscriberCarrierNetwork", "WiFiMAC"}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v: the query that tells IMEI and ICCID as well must not be asked", got, want)
	}
	if got := queriesFor(fleet.MacOS, []fleet.FactKey{"phone-number", "host-name"}); !slices.Equal(got, []string{"HostName", "LocalHostName"}) {
		t.Errorf("a Mac is asked %v", got)
	}
}

// TestFactsAreDeclared holds the table of facts against the register, both ways round.
func TestFactsAreDeclared(t *testing.T) {
	known := map[fleet.FactKey]bool{}
	for _, d := range fleet.Declarations() {
		known[d.Key] = true
	}
	for _, s := range factSources {
		if !known[s.fact] {
			t.Errorf("%s (%s) is not in the register", s.fact, s.query)
		}
	}
	for _, s := range securitySources {
		if !known[s.fact] {
			t.Errorf("%s is not in the register", s.fact)
		}
	}
	for _, k := range []fleet.FactKey{"managed-profiles", "managed-certs", "apps", "managed-apps", secretUnlock, secretBootstrap} {
		if !known[k] {
			t.Errorf("%s is not in the register", k)
		}
	}
}

func TestChoices(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		name       string
		platform   fleet.Platform
		ownership  fleet.Ownership
		supervised bool
		want       string // offered actions
		why        map[fleet.ActionType]string
	}{
		{"an organisation's iPhone", fleet.IOS, fleet.Corporate, false, "sync lock clear-passcode retire wipe delete",
			map[fleet.ActionType]string{fleet.ActRestart: "apple.restart.unsupervised"}},
		{"a supervised iPad", fleet.IPadOS, fleet.Corporate, true, "sync lock clear-passcode restart retire wipe delete", nil},
		{"somebody's own iPhone", fleet.IOS, fleet.Personal, false, "sync lock retire delete",
			map[fleet.ActionType]string{fleet.ActWipe: "apple.wipe.personal", fleet.ActClearPasscode: "apple.clear-passcode.personal"}},
		{"an organisation's Mac", fleet.MacOS, fleet.Corporate, false, "sync lock restart retire wipe delete",
			map[fleet.ActionType]string{fleet.ActClearPasscode: "apple.clear-passcode.mac"}},
		{"somebody's own Mac", fleet.MacOS, fleet.Personal, false, "sync lock restart retire delete",
			map[fleet.ActionType]string{fleet.ActWipe: "apple.wipe.personal"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var offered []string
			for _, ch := range r.apple.Choices(deviceOf(c.platform, c.ownership), map[fleet.FactKey]fleet.Fact{"supervised": {Value: c.supervised}}) {
				if ch.Reason.Code == "" {
					t.Errorf("%s says nothing", ch.Type)
				}
				if ch.Offered {
					offered = append(offered, string(ch.Type))
				} else if w := c.why[ch.Type]; w != "" && w != ch.Reason.Code {
					t.Errorf("%s is refused because %s, want %s", ch.Type, ch.Reason.Code, w)
				}
				if needs := c.platform == fleet.MacOS && (ch.Type == fleet.ActLock || ch.Type == fleet.ActWipe) && ch.Offered; ch.NeedsPIN != needs {
					t.Errorf("%s needs a PIN: %v", ch.Type, ch.NeedsPIN)
				}
			}
			if got := strings.Join(offered, " "); got != c.want {
				t.Errorf("offered %s, want %s", got, c.want)
			}
		})
	}
}

func TestRemovalTable(t *testing.T) {
	r := newRig(t)
	outcomes := func(p fleet.Platform, a fleet.ActionType) map[string]fleet.RemovalRow {
		out := map[string]fleet.RemovalRow{}
		for _, row := range r.apple.Removal(deviceOf(p, fleet.Corporate), a) {
			out[row.Data] = row
		}
		return out
	}
	phone, mac, wiped := outcomes(fleet.IPadOS, fleet.ActRetire), outcomes(fleet.MacOS, fleet.ActDelete), outcomes(fleet.IOS, fleet.ActWipe)
	if len(phone) != 12 || len(mac) != 12 || len(wiped) != 12 {
		t.Fatalf("%d, %d and %d rows, want 12", len(phone), len(mac), len(wiped))
	}
	for _, c := range []struct {
		got          fleet.RemovalRow
		code, proved string
	}{
		{phone["email"], goneMail, "not-proved"}, {phone["certificates"], revoked, "not-proved"}, {phone["other-apps"], stays, "not-needed"},
		{mac["email"], profileOut, "not-proved"}, {mac["contacts"], none, "not-needed"}, {wiped["other-apps"], erased, "not-proved"},
	} {
		if c.got.Outcome.Code != c.code || c.got.Proved != c.proved {
			t.Errorf("%s: %s %s, want %s %s", c.got.Data, c.got.Outcome.Code, c.got.Proved, c.code, c.proved)
		}
	}
}

// TestEveryReasonIsListed finds the codes that were said in this package's tables in ReasonCodes.
func TestEveryReasonIsListed(t *testing.T) {
	r := newRig(t)
	listed := ReasonCodes()
	said := []fleet.Reason{}
	for _, p := range r.apple.Platforms() {
		for _, own := range []fleet.Ownership{fleet.Personal, fleet.Corporate} {
			for _, facts := range []map[fleet.FactKey]fleet.Fact{nil, {"supervised": {Value: true}, "passcode-present": {Value: false}}} {
				for _, c := range r.apple.Choices(deviceOf(p, own), facts) {
					said = append(said, c.Reason)
				}
			}
			for _, a := range []fleet.ActionType{fleet.ActWipe, fleet.ActRetire} {
				for _, row := range r.apple.Removal(deviceOf(p, own), a) {
					said = append(said, row.Outcome)
				}
			}
		}
	}
	for number := range errorCodes {
		said = append(said, explain([]any{dict{"ErrorDomain": "MCAnyErrorDomain", "ErrorCode": number}}))
	}
	for _, tgt := range []fleet.Target{{Platform: fleet.Windows}, {Platform: fleet.IOS, Mode: "other"}, {Platform: fleet.IOS, Mode: fleet.ModeDevice}} {
		_, why := r.apple.Applies(&fleet.Profile{Type: "juggling"}, tgt)
		said = append(said, why)
	}
	for _, s := range said {
		args, ok := listed[s.Code]
		if !ok {
			t.Errorf("%q is not listed", s.Code)
		}
		for name := range s.Args {
			if !slices.Contains(args, name) {
				t.Errorf("%s has an argument %q that is not listed", s.Code, name)
			}
		}
	}
}
