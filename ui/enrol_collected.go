package ui

import (
	"slices"

	"muster/appliance/fleet"
)

// A person reads what is collected in a few lines: groups that say in plain words what is in them. Each opens to its whole list, with what every
// fact is for. What goes beyond the least that any device tells, because it is the organisation's own or because a switch asks for it, is named
// without opening anything.

// collected is one line of a group's list, and collectedPart a group.
type (
	collected     struct{ What, Why string }
	collectedPart struct {
		Title, Text string
		Beyond      []string // named at once
		Facts       []collected
	}
)

// collectedGroups are the groups in their order, and the reasons ("why.…" of the register) whose facts they hold. What has another reason is
// part of the last.
var collectedGroups = []struct {
	name string
	whys []string
}{
	{"which", []string{"why.identify", "why.recognise", "why.limits", "why.fit", "why.language", "why.storage"}},
	{"reached", []string{"why.wake", "why.reach", "why.contracts", "why.network", "why.lost"}},
	{"safe", []string{"why.security", "why.passcode", "why.unlock", "why.hand-on"}},
	{"apps", []string{"why.apps", "why.network-use"}},
	{"work", nil},
}

func collectedGroup(why string) int {
	for i, g := range collectedGroups {
		if slices.Contains(g.whys, why) {
			return i
		}
	}
	return len(collectedGroups) - 1
}

// beyondLeast says whether a fact is not one that every device of its kind tells.
func beyondLeast(d fleet.FactDeclaration) bool {
	return d.Switch != "" || !slices.Contains(d.Ownership, fleet.Personal)
}

// collectedBy puts what is collected into its groups, in the register's order.
func (q *Request) collectedBy(facts []fleet.FactDeclaration) (out []collectedPart) {
	parts := make([]collectedPart, len(collectedGroups))
	for _, d := range facts {
		p := &parts[collectedGroup(d.Why)]
		c := collected{What: q.personFactName(d.Key), Why: q.T(d.Why)}
		p.Facts = append(p.Facts, c)
		if beyondLeast(d) {
			p.Beyond = append(p.Beyond, c.What)
		}
	}
	for i, p := range parts {
		if len(p.Facts) == 0 {
			continue
		}
		name := collectedGroups[i].name
		p.Title = q.T("enrol.group." + name)
		if len(p.Beyond) < len(p.Facts) {
			p.Text = q.T("enrol.group." + name + ".text")
		}
		out = append(out, p)
	}
	return out
}
