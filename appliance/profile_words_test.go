package appliance

import (
	"strings"
	"testing"

	"muster/appliance/fleet"
	"muster/ui/words"
)

// TestEverySettingHasWords: types, headings, fields, choices, platforms and statuses, so that a new declaration cannot show its keys to people.
func TestEverySettingHasWords(t *testing.T) {
	want := func(key string) {
		t.Helper()
		if !words.Has(key) {
			t.Errorf("no words for %s", key)
		}
	}
	for _, d := range fleet.ProfileTypes() {
		want("type." + string(d.Type))
		want("type." + string(d.Type) + ".hint")
		want(d.NameHint)
		for _, target := range d.Targets {
			want("system." + string(target.Platform))
		}
		for _, f := range d.Fields {
			field := "field." + string(d.Type) + "." + f.Key
			want(field)
			want("field." + string(d.Type) + ".group." + f.Group)
			if f.Kind == fleet.KindChoice {
				for _, o := range f.Options {
					want(field + "." + o)
				}
			}
			if f.Kind == fleet.KindProfile {
				want("profile.make." + string(f.RefType))
				want("profile.choose." + string(f.RefType))
				want("profile.made." + string(f.RefType))
				want("profile.made.name." + string(f.RefType))
			}
		}
	}
	for _, v := range fleet.Variables() {
		want("variable." + v)
		want("variable.whole." + v)
	}
	for _, k := range []fleet.GroupKind{fleet.PeopleGroup, fleet.DeviceGroup} {
		for _, f := range fleet.RuleFields(k) {
			want("rule.field." + f)
		}
	}
	for _, op := range fleet.RuleOps() {
		want("rule.op." + op)
	}
	for _, s := range strings.Fields("pending succeeded error conflict not-applicable waiting-person removing removed") {
		want("word.status." + s)
	}
}
