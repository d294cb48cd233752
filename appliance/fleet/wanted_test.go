package fleet

import (
	"context"
	"maps"
	"testing"

	"muster/store"
)

func TestWhomAnAssignmentReaches(t *testing.T) {
	w := newProfWorld(t)
	ada, bob := w.person("Ada"), w.person("Bob")
	phone, kiosk, mac := w.device(ada, IOS, Corporate), w.device(nil, IOS, Corporate), w.device(bob, MacOS, Personal)
	adas, bobs := w.group(PeopleGroup, nil, string(ada.ID)), w.group(PeopleGroup, nil, string(bob.ID))
	phones := w.group(DeviceGroup, &Rule{Conditions: []Condition{{Field: "platform", Op: "is", Value: "ios"}}})
	kiosks := w.group(DeviceGroup, nil, string(kiosk.ID))
	named := w.group(PeopleGroup, &Rule{Conditions: []Condition{{Field: "name", Op: "starts", Value: "a"}}})
	passcode := w.profile(TypePasscode, nil)
	const yes = "wanted at 0"
	for _, c := range []struct {
		name              string
		to                []Assignment
		phone, kiosk, mac string
	}{
		{"nobody", nil, "", "", ""},
		{"all devices", []Assignment{all(ToAllDevices)}, yes, yes, "not-applicable plain.no-passcode "},
		{"all people", []Assignment{all(ToAllPeople)}, yes, "", "not-applicable plain.no-passcode "},
		{"a person's group reaches her devices", []Assignment{to(adas)}, yes, "", ""},
		{"a device group by rule", []Assignment{to(phones)}, yes, yes, ""},
		{"a people group by rule", []Assignment{to(named)}, yes, "", ""},
		{"a device group by hand", []Assignment{to(kiosks)}, "", yes, ""},
		{"exclusion wins over all devices", []Assignment{all(ToAllDevices), except(kiosks), except(bobs)}, yes, "", ""},
		{"exclusion wins over another group", []Assignment{to(phones), except(adas)}, "", yes, ""},
		{"exclusion alone includes nobody", []Assignment{except(adas)}, "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.assign(passcode, c.to...)
			for _, x := range []struct {
				what string
				d    *Device
				want string
			}{{"phone", phone, c.phone}, {"kiosk", kiosk, c.kiosk}, {"mac", mac, c.mac}} {
				if got := w.wants(x.d)[passcode.Name]; got != x.want {
					t.Errorf("%s: got %q, want %q", x.what, got, x.want)
				}
			}
		})
	}
}

func TestProfilesThatGoThroughAPerson(t *testing.T) {
	w := newProfWorld(t)
	phone, kiosk := w.device(w.person("Ada"), IOS, Corporate), w.device(nil, IOS, Corporate)
	mail := w.profile(TypeEmail, exchangeAt("a.example"))
	w.assign(mail, all(ToAllDevices))
	if got := w.wants(phone)[mail.Name]; got != "wanted at 0" {
		t.Errorf("got %q on a person's device", got)
	}
	if got := w.wants(kiosk)[mail.Name]; got != "not-applicable profile.no-person " {
		t.Errorf("got %q on a device with no person", got)
	}
	name := "Nameless"
	upn := "nameless"
	p, err := w.CreatePerson(context.Background(), w.admin, PersonInput{Name: &name, UPN: &upn})
	if err != nil {
		t.Fatal(err)
	}
	if got := w.wants(w.device(p, IOS, Corporate))[mail.Name]; got != "error profile.person-lacks " {
		t.Errorf("got %q for a person with no address", got)
	}
}

func TestTheChainMustBeWhole(t *testing.T) {
	w := newProfWorld(t)
	ada := w.person("Ada")
	phone := w.device(ada, IOS, Corporate)
	root := w.profile(TypeTrustedRoot, nil)
	identity := w.profile(TypeIdentity, Values{"root": root.ID})
	mail := w.profile(TypeEmail, Values{"host": "a.example", "sign_in": "certificate", "identity": identity.ID})
	adas := w.group(PeopleGroup, nil, string(ada.ID))

	w.assign(mail, to(adas))
	if got := w.wants(phone); got[mail.Name] != "error profile.chain-broken "+identity.Name {
		t.Errorf("got %v with the account alone", got)
	}
	w.assign(identity, to(adas))
	if got := w.wants(phone); got[identity.Name] != "error profile.chain-broken "+root.Name || got[mail.Name] != "error profile.chain-broken "+identity.Name {
		t.Errorf("got %v without the root", got)
	}
	w.assign(root, all(ToAllDevices))
	want := map[string]string{root.Name: "wanted at 0", identity.Name: "wanted at 1", mail.Name: "wanted at 2"}
	if got := w.wants(phone); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	// A chain that is whole on paper and does not fit on the device is broken there.
	platforms := []Platform{MacOS}
	if _, err := w.UpdateProfile(context.Background(), w.admin, root.ID, ProfileInput{Platforms: &platforms}); err != nil {
		t.Fatal(err)
	}
	if got := w.wants(phone)[mail.Name]; got != "error profile.chain-broken "+identity.Name {
		t.Errorf("got %q with a root for Macs only", got)
	}
}

func TestOneAccountTwice(t *testing.T) {
	w := newProfWorld(t)
	ada := w.person("Ada")
	phone := w.device(ada, IOS, Corporate)
	one, two := w.profile(TypeEmail, exchangeAt("mail.example.org")), w.profile(TypeEmail, Values{"host": "MAIL.example.org", "address": "{{mail-local}}@{{mail-domain}}"})
	other := w.profile(TypeEmail, exchangeAt("elsewhere.example"))
	for _, p := range []*Profile{one, two, other} {
		w.assign(p, all(ToAllPeople))
	}
	got := w.wants(phone)
	want := map[string]string{one.Name: "conflict profile.same-account " + two.Name, two.Name: "conflict profile.same-account " + one.Name, other.Name: "wanted at 0"}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	w.assign(one)
	if got := w.wants(phone)[two.Name]; got != "wanted at 0" && got != "wanted at 1" {
		t.Errorf("got %q after the other went", got)
	}
}

func TestWhereProfilesDoNotApply(t *testing.T) {
	w := newProfWorld(t)
	phone := w.device(nil, IOS, Corporate)
	pc := w.device(nil, Android, Corporate)
	forMacs := w.profile(TypePasscode, nil, MacOS)
	forPCs := w.profile(TypePasscode, nil, Android)
	for _, p := range []*Profile{forMacs, forPCs} {
		w.assign(p, all(ToAllDevices))
	}
	if got := w.wants(phone)[forMacs.Name]; got != "not-applicable profile.platform-not-chosen " {
		t.Errorf("got %q for a platform that was not chosen", got)
	}
	if got := w.wants(pc)[forPCs.Name]; got != "not-applicable profile.type-not-on-platform " {
		t.Errorf("got %q for a platform that the type does not know", got)
	}
	w.write(func(tx store.Tx) error { phone.State = Retiring; return devices.Put(tx, phone) })
	if got := w.wants(phone); len(got) != 0 {
		t.Errorf("got %v: a device that is leaving is wanted nothing", got)
	}
}

// A config read inside a transaction that fails must not be taken for the committed one.
func TestConfigOfAFailedTransactionIsForgotten(t *testing.T) {
	w := newProfWorld(t)
	phone := w.device(nil, IOS, Corporate)
	p := w.profile(TypePasscode, nil)
	err := w.db.Update(context.Background(), func(tx store.Tx) error {
		if err := assignments.Put(tx, &Assignment{ID: "x", Profile: p.ID, To: ToAllDevices}); err != nil {
			return err
		}
		if err := touchConfig(tx); err != nil {
			return err
		}
		if _, _, err := w.wanted(tx, phone, nil); err != nil {
			return err
		}
		return context.Canceled
	})
	if err == nil {
		t.Fatal("the transaction was to fail")
	}
	if got := w.wants(phone); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func BenchmarkWanted(b *testing.B) {
	w := newProfWorld(b)
	ada := w.person("Ada")
	phone := w.device(ada, IOS, Corporate)
	root := w.profile(TypeTrustedRoot, nil)
	identity := w.profile(TypeIdentity, Values{"root": root.ID})
	for _, p := range []*Profile{root, identity, w.profile(TypeEmail, Values{"host": "a.example", "sign_in": "certificate", "identity": identity.ID}), w.profile(TypePasscode, nil)} {
		w.assign(p, all(ToAllDevices))
	}
	w.read(func(tx store.Tx) error {
		for b.Loop() {
			if list, _, err := w.wanted(tx, phone, ada); err != nil || len(list) != 4 {
				b.Fatal(len(list), err)
			}
		}
		return nil
	})
}
