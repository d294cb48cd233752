package windows

import (
	"slices"
	"strings"

	"muster/appliance/fleet"
)

var _ fleet.Noter = (*Windows)(nil)

// Notes say what a profile leaves behind on PCs when it is removed, and what it does to people besides: a node that is deleted gives no setting
// back its former value, it only ends ours.
func (w *Windows) Notes(p *fleet.Profile) []fleet.Reason {
	v := p.Values()
	switch p.Type {
	case fleet.TypePasscode:
		if v.Bool("require") {
			return []fleet.Reason{why("windows.keeps.password")}
		}
	case fleet.TypeRestrictions:
		if v.Bool("pc_encryption") {
			return []fleet.Reason{why("windows.keeps.encryption")}
		}
	case fleet.TypeApp:
		if v.String("kind") != fleet.AppMSI {
			return nil
		}
		if !v.Bool("remove_at_retire") {
			return []fleet.Reason{why("windows.keeps.app")}
		}
		return []fleet.Reason{why("windows.keeps.app-data")}
	case fleet.TypeVPN:
		return []fleet.Reason{why("windows.vpn-drops")}
	case fleet.TypeCustom:
		return customNotes(v.String(customField))
	}
	return nil
}

func customNotes(text string) []fleet.Reason {
	list, _ := customNodes(text)
	if len(list) == 0 {
		return nil
	}
	out := []fleet.Reason{why("windows.keeps.custom-default")}
	var stay, blind []string
	for _, n := range list {
		if n.removal() == "" {
			stay = append(stay, n.uri)
		}
		if !n.csp.allows(verbGet) {
			blind = append(blind, n.uri)
		}
	}
	for code, nodes := range map[string][]string{"windows.keeps.custom": stay, "windows.keeps.custom-unread": blind} {
		if len(nodes) > 0 {
			out = append(out, why(code, "nodes", clip(strings.Join(nodes, ", "))))
		}
	}
	slices.SortFunc(out, func(a, b fleet.Reason) int { return strings.Compare(a.Code, b.Code) })
	return out
}
