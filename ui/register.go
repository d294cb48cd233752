package ui

import "muster/appliance/fleet"

func (u *UI) registerRoutes() {
	u.admin("GET /settings/register", u.register)
}

type registerPage struct {
	Tabs       []Tab
	Categories []registerCategory
	Devices    []registerNever // what is never taken, by whose device it is
	Total      int
	Open       bool // every category unfolded, to read or print in one go
}

type registerCategory struct {
	ID, Word string
	Rows     []registerRow
}

type registerRow struct {
	What, Why string
	From      string // from which devices
	Status    Status // required, optional, switched on or off
}

type registerNever struct {
	Title string
	Items []string
}

// register shows everything that may be stored, by category, with the reason, and what is never taken (D1, D4).
func (u *UI) register(q *Request) error {
	settings, err := u.fleet.Settings(q.Context())
	if err != nil {
		return err
	}
	page := registerPage{Tabs: q.settingsTabs("register"), Open: q.URL.Query().Get("open") == "all"}
	place := map[fleet.Category]int{}
	for _, d := range fleet.Declarations() {
		i, ok := place[d.Category]
		if !ok {
			i = len(page.Categories)
			place[d.Category] = i
			page.Categories = append(page.Categories, registerCategory{ID: string(d.Category), Word: q.T("category." + string(d.Category))})
		}
		row := registerRow{What: q.T("fact." + string(d.Key)), Why: q.T(d.Why), From: q.takenFrom(d)}
		switch {
		case d.Switch == fleet.SwitchLostMode:
			row.Status = Status{Kind: Busy, Word: q.T("register.lost-mode")}
		case d.Switch != "" && settings.Switches[d.Switch]:
			row.Status = Status{Kind: Warn, Word: q.T("register.switch.on"), Icon: "ok"}
		case d.Switch != "":
			row.Status = Status{Kind: Mute, Word: q.T("register.switch.off")}
		case d.Required:
			row.Status = Status{Kind: Mute, Word: q.T("register.required"), Icon: "check"}
		default:
			row.Status = Status{Kind: Mute, Word: q.T("register.optional")}
		}
		page.Categories[i].Rows = append(page.Categories[i].Rows, row)
		page.Total++
	}
	for _, o := range []fleet.Ownership{fleet.Personal, fleet.Corporate} {
		never := registerNever{Title: q.T("register.never." + string(o))}
		for _, key := range fleet.NeverCollected(fleet.Target{Platform: fleet.IOS, Mode: fleet.ModeDevice, Ownership: o}) {
			never.Items = append(never.Items, q.T(key))
		}
		page.Devices = append(page.Devices, never)
	}
	return q.Page("app/settings-register", Page{Title: q.T("register.title"), Data: page})
}

// takenFrom says in words from which devices a fact comes; nothing for what people and administrators give.
func (q *Request) takenFrom(d fleet.FactDeclaration) string {
	if len(d.Platforms) == 0 {
		return q.T("register.from.typed")
	}
	whose := "both"
	switch {
	case len(d.Ownership) == 1 && d.Ownership[0] == fleet.Corporate:
		whose = "corporate"
	case len(d.Ownership) == 1:
		whose = "personal"
	}
	return q.T("register.from", "which", q.saysPlatforms(d.Platforms), "whose", q.T("register.whose."+whose))
}
