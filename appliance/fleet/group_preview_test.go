package fleet

import (
	"errors"
	"slices"
	"testing"
)

func TestPreviewRuleHoldsWhatTheGroupWould(t *testing.T) {
	w := newProfWorld(t)
	anna, bram := w.person("Anna"), w.person("Bram")
	w.person("Anne", "north")
	phone := w.device(anna, IOS, Personal)
	w.device(bram, MacOS, Corporate)
	names := func(a Actor, k GroupKind, r Rule) []string {
		t.Helper()
		list, err := w.PreviewRule(t.Context(), a, k, r, ListQuery{})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, m := range list.Items {
			if m.Person != nil {
				out = append(out, m.Person.Name)
			} else {
				out = append(out, string(m.Device.ID))
			}
		}
		return out
	}
	begins := Rule{Conditions: []Condition{{Field: "name", Op: "starts", Value: "ann"}}}
	if got := names(w.admin, PeopleGroup, begins); !slices.Equal(got, []string{"Anna", "Anne"}) {
		t.Errorf("people: %v", got)
	}
	if got := names(w.scoped("north"), PeopleGroup, begins); !slices.Equal(got, []string{"Anne"}) {
		t.Errorf("within the scope: %v", got)
	}
	mail := Rule{Conditions: []Condition{{Field: "person-mail", Op: "is", Value: anna.Mail}, {Field: "platform", Op: "is", Value: "ios"}}}
	if got := names(w.admin, DeviceGroup, mail); !slices.Equal(got, []string{string(phone.ID)}) {
		t.Errorf("devices: %v", got)
	}
	var refusal *Refusal
	_, err := w.PreviewRule(t.Context(), w.admin, PeopleGroup, Rule{Conditions: []Condition{{Field: "serial", Op: "is", Value: "x"}}}, ListQuery{})
	if !errors.As(err, &refusal) || refusal.Fields["rule.0"].Code != "input.choice" {
		t.Errorf("a field of devices in a rule for people: %v", err)
	}
	if _, err := w.PreviewRule(t.Context(), Actor{}, PeopleGroup, begins, ListQuery{}); !errors.Is(err, ErrForbidden) {
		t.Errorf("nobody: %v", err)
	}
}

func TestGroupProfilesAreThoseAssigned(t *testing.T) {
	w := newProfWorld(t)
	g, other := w.group(PeopleGroup, nil), w.group(PeopleGroup, nil)
	p := w.profile(TypePasscode, Values{})
	w.profile(TypePasscode, Values{})
	w.assign(p, Assignment{To: ToAllDevices}, Assignment{To: ToGroup, Group: g.ID, Exclude: true})
	for id, want := range map[GroupID]int{g.ID: 1, other.ID: 0} {
		list, err := w.GroupProfiles(t.Context(), w.admin, id)
		if err != nil || len(list) != want || want == 1 && list[0].ID != p.ID {
			t.Errorf("%v, %v, want %d", list, err, want)
		}
	}
	if _, err := w.GroupProfiles(t.Context(), w.scoped("north"), g.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("outside the scope: %v", err)
	}
}
