package ui

import (
	"strings"

	"muster/appliance/fleet"
)

// place is an entry of the navigation: its path, and the permission without
// which it is not shown ("" = everyone signed in).
type place struct {
	path, icon, word string
	first            bool // in a phone's bottom bar
	needs            fleet.Permission
}

// places lists the navigation by group. A screen appears here when it exists.
func places() []struct {
	title string
	items []place
} {
	return []struct {
		title string
		items []place
	}{
		{"", []place{
			{"/", "overview", "nav.overview", true, ""},
		}},
		{"nav.group.who", []place{
			{"/devices", "devices", "nav.devices", true, fleet.DevicesRead},
			{"/people", "people", "nav.people", true, fleet.PeopleRead},
			{"/groups", "groups", "nav.groups", false, fleet.PeopleRead},
			{"/invitations", "invite", "nav.invitations", false, fleet.InviteWrite},
		}},
		{"nav.group.what", []place{
			{"/profiles", "profiles", "nav.profiles", true, fleet.ProfilesRead},
			{"/certificates", "certificate", "nav.certificates", false, fleet.CertsRead},
			{"/rules", "rules", "nav.rules", false, fleet.DevicesRead},
		}},
		{"nav.group.record", []place{
			{"/receipts", "receipt", "nav.receipts", false, fleet.DevicesRead},
			{"/audit", "audit", "nav.audit", false, fleet.AuditRead},
		}},
		{"nav.group.house", []place{
			{"/admins", "admins", "nav.admins", false, fleet.AdminsEdit},
			{"/settings", "settings", "nav.settings", false, fleet.SettingsRead},
			{"/health", "health", "nav.health", false, ""},
			{"/help", "help", "nav.help", false, ""},
		}},
	}
}

// nav is the navigation as the signed-in administrator may use it.
func (q *Request) nav() []NavGroup {
	var out []NavGroup
	for _, g := range places() {
		group := NavGroup{}
		if g.title != "" {
			group.Title = q.T(g.title)
		}
		for _, p := range g.items {
			if p.needs != "" && !q.Actor.May(p.needs) {
				continue
			}
			current := q.URL.Path == p.path || (p.path != "/" && strings.HasPrefix(q.URL.Path, p.path+"/")) ||
				(p.path == "/rules" && strings.HasPrefix(q.URL.Path, "/rule-runs/")) ||
				(p.path == "/admins" && (q.URL.Path == "/roles" || strings.HasPrefix(q.URL.Path, "/roles/")))
			group.Items = append(group.Items, NavItem{Href: p.path, Icon: p.icon, Word: q.T(p.word), First: p.first, Current: current})
		}
		if len(group.Items) > 0 {
			out = append(out, group)
		}
	}
	return out
}
