package ui

import (
	"muster/appliance/fleet"
)

func (u *UI) helpRoutes() {
	u.admin("GET /help", u.help)
	u.admin("GET /help/removal", u.helpRemoval)
	u.admin("GET /help/enrolment", u.helpEnrolment)
	u.admin("GET /help/collected", u.helpCollected)
	u.admin("GET /help/roles", u.helpRoles)
	u.admin("GET /help/android", u.helpAndroid)
	u.open("GET "+workProfilePath, u.workProfile)
}

type helpTopic struct{ Href, Icon, Word, Text string }

func (u *UI) help(q *Request) error {
	var topics []helpTopic
	for _, t := range []struct{ name, icon string }{{"enrolment", "invite"}, {"android", "phone"}, {"removal", "retire"}, {"collected", "eye"}, {"roles", "admins"}} {
		topics = append(topics, helpTopic{Href: "/help/" + t.name, Icon: t.icon, Word: q.T("help." + t.name + ".title"), Text: q.T("help." + t.name + ".short")})
	}
	return q.Page("app/help", Page{Title: q.T("help.title"), Data: topics})
}

// helpHead is the row above a page of the help.
func (q *Request) helpHead(name string) Head {
	return Head{Title: q.T("help." + name + ".title"), Sub: q.T("help." + name + ".short"), Back: "/help", BackWord: q.T("help.title")}
}

// historyRow is a kind of data and what retire does to it in each column: codes of help.out.<code>, "" = nothing of the kind there.
type historyRow struct {
	data  string
	cells []string
}

// removalColumns and removalRows are the table of what retire does.
var (
	removalColumns = []string{"ios", "work-profile", "knox", "macos", "windows"}
	removalRows    = []historyRow{
		{"company-apps", []string{"removed-with-data", "profile-removed", "apps-knox", "", "apps-windows"}},
		{"settings", []string{"free", "with-profile", "free", "free", "free"}},
		{"wifi-vpn", []string{"removed", "with-profile", "removed", "removed", "removed"}},
		{"certificates", []string{"removed-revoked", "removed-revoked", "removed-revoked", "removed-revoked", "removed-revoked"}},
		{"management", []string{"removed", "removed", "right-withdrawn", "removed", "enrolment-removed"}},
		{"email", []string{"mail-removed", "with-profile", "mail-removed", "mail-profile", "mail-accounts"}},
		{"contacts", []string{"removed", "with-profile", "removed", "", ""}},
		{"directory", []string{"removed", "removed", "removed", "removed", ""}},
		{"web-links", []string{"removed", "with-profile", "removed", "", "removed"}},
		{"other-apps", []string{"stay", "stay-personal", "stay-lob", "stay", "stay-windows"}},
		{"outlook", []string{"outlook-required", "with-profile", "outlook-managed", "no-new-mail", "outlook-windows"}},
		{"other-contacts", []string{"stay", "stay", "stay", "stay", "stay"}},
	}

	// What older systems did, kept as history: Muster does not manage them.
	historyColumns = []string{"android-admin", "windows-81", "windows-rt", "windows-phone"}
	historyRows    = []historyRow{
		{"company-apps", []string{"apps-data-stays-app", "efs-keys", "apps-stay", "apps-portal"}},
		{"settings", []string{"free", "free", "free", "free"}},
		{"wifi-vpn", []string{"removed", "removed", "removed", "unsupported"}},
		{"certificates", []string{"revoked-only", "removed-revoked", "removed-revoked", "unsupported"}},
		{"management", []string{"right-withdrawn", "", "", ""}},
		{"email", []string{"no-mail-profiles", "efs-mail", "unsupported", "mail-removed"}},
		{"contacts", []string{"contacts-app", "", "", ""}},
		{"directory", []string{"removed", "stays-there", "stays-there", "removed"}},
		{"web-links", []string{"removed", "", "", ""}},
		{"other-apps", []string{"stay", "", "", ""}},
		{"outlook", []string{"outlook-protected", "", "", ""}},
		{"other-contacts", []string{"stay", "", "", ""}},
	}
)

type removalTable struct {
	Title   string
	Note    string
	Columns []string
	Rows    []removalLine
	ID      string
}

type removalLine struct {
	Word  string
	Cells []removalCell
}

type removalCell struct{ Column, Text string }

func (q *Request) removalTable(id string, columns []string, rows []historyRow) removalTable {
	t := removalTable{ID: id, Title: q.T("help.table." + id), Note: q.T("help.table." + id + ".note")}
	for _, c := range columns {
		t.Columns = append(t.Columns, q.T("help.column."+c))
	}
	for _, r := range rows {
		line := removalLine{Word: q.T("word.data." + r.data)}
		for i, code := range r.cells {
			text := "–"
			if code != "" {
				text = q.T("help.out." + code)
			}
			line.Cells = append(line.Cells, removalCell{Column: t.Columns[i], Text: text})
		}
		t.Rows = append(t.Rows, line)
	}
	return t
}

func (u *UI) helpRemoval(q *Request) error {
	return q.Page("app/help-removal", Page{Title: q.T("help.removal.title"), Data: map[string]any{"Head": q.helpHead("removal"),
		"Verbs": q.helpItems("help.verb", "retire", "wipe", "delete", "lock", "sync"), "Notes": q.helpTexts("help.removal.note", "1", "2", "3", "4"),
		"Tables": []removalTable{q.removalTable("now", removalColumns, removalRows), q.removalTable("history", historyColumns, historyRows)}}})
}

type helpItem struct{ Word, Text string }

func (q *Request) helpItems(prefix string, names ...string) []helpItem {
	var out []helpItem
	for _, n := range names {
		out = append(out, helpItem{Word: q.T(prefix + "." + n), Text: q.T(prefix + "." + n + ".text")})
	}
	return out
}

func (q *Request) helpTexts(prefix string, names ...string) []string {
	var out []string
	for _, n := range names {
		out = append(out, q.T(prefix+"."+n))
	}
	return out
}

func (u *UI) helpEnrolment(q *Request) error {
	return q.Page("app/help-enrolment", Page{Title: q.T("help.enrolment.title"), Data: map[string]any{"Head": q.helpHead("enrolment"),
		"Before": q.helpTexts("help.enrolment.before", "1", "2", "3"), "Steps": q.helpItems("help.enrolment.step", "1", "2", "3", "4", "5"),
		"Trouble": q.helpItems("help.enrolment.trouble", "safari", "profile", "used", "waiting")}})
}

func (u *UI) helpCollected(q *Request) error {
	lists := []registerNever{}
	for _, o := range []fleet.Ownership{fleet.Personal, fleet.Corporate} {
		l := registerNever{Title: q.T("register.never." + string(o))}
		for _, key := range fleet.NeverCollected(fleet.Target{Platform: fleet.IOS, Mode: fleet.ModeDevice, Ownership: o}) {
			l.Items = append(l.Items, q.T(key))
		}
		lists = append(lists, l)
	}
	return q.Page("app/help-collected", Page{Title: q.T("help.collected.title"), Data: map[string]any{"Head": q.helpHead("collected"), "Never": lists,
		"Notes": q.helpTexts("help.collected.note", "1", "2", "3", "4")}})
}

func (u *UI) helpRoles(q *Request) error {
	var roles []helpItem
	for _, id := range []fleet.RoleID{fleet.RoleOwner, fleet.RoleAdministrator, fleet.RoleHelpDesk, fleet.RoleReadOnly, fleet.RolePrivacy} {
		roles = append(roles, helpItem{Word: q.T("role." + string(id)), Text: q.T("role." + string(id) + ".hint")})
	}
	return q.Page("app/help-roles", Page{Title: q.T("help.roles.title"), Data: map[string]any{"Head": q.helpHead("roles"), "Roles": roles,
		"Notes": q.helpTexts("help.roles.note", "1", "2", "3", "4"), "Link": q.Actor.May(fleet.AdminsEdit)}})
}
