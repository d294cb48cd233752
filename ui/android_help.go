package ui

// androidColumns and androidRows are what applies to which way of managing an Android: codes below help.android.
var (
	androidColumns = []string{"work-profile", "company-work-profile", "fully-managed", "kiosk"}
	androidRows    = []struct {
		name  string
		cells []string
	}{
		{"for", []string{"for.work-profile", "for.company-work-profile", "for.fully-managed", "for.kiosk"}},
		{"begin", []string{"begin.use", "begin.new", "begin.new", "begin.new"}},
		{"retire", []string{"retire.profile", "retire.give", "no", "no"}},
		{"wipe", []string{"no", "yes", "yes", "yes"}},
		{"clear", []string{"clear.yes", "clear.yes", "clear.yes", "clear.yes"}},
		{"restart", []string{"no", "no", "yes", "yes"}},
		{"leave", []string{"yes", "leave.reset", "leave.reset", "leave.reset"}},
		{"seen", []string{"seen.none", "seen.some", "seen.all", "seen.all"}},
	}
)

// helpAndroid explains work profiles to administrators, in words that they can pass on (D10).
func (u *UI) helpAndroid(q *Request) error {
	table := removalTable{ID: "modes", Title: q.T("help.android.modes"), Note: q.T("help.android.modes.note")}
	for _, c := range androidColumns {
		table.Columns = append(table.Columns, capital(q.T("word.mode."+c)))
	}
	for _, r := range androidRows {
		line := removalLine{Word: q.T("help.android.row." + r.name)}
		for i, code := range r.cells {
			line.Cells = append(line.Cells, removalCell{Column: table.Columns[i], Text: q.T("help.android." + code)})
		}
		table.Rows = append(table.Rows, line)
	}
	return q.Page("app/help-android", Page{Title: q.T("help.android.title"), Data: map[string]any{"Head": q.helpHead("android"),
		"Profile": q.helpItems("help.android", "what", "badge", "have", "pause", "remove", "never"), "Rights": q.helpItems("help.android", "reset", "lock", "log"),
		"Samsung": q.helpItems("help.android", "knox", "ksp"), "Table": table}})
}
