package ui

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"strings"

	"muster/appliance/fleet"
)

// The form of a profile's settings, and the sentences about them, come from the declarations of fleet.ProfileTypes: a new field needs its words
// (field.<type>.<key>, and where it helps .hint, .unit, .zero) and nothing here.

// declared returns the declaration of a type; false when there is none.
func declared(t fleet.ProfileType) (fleet.Declaration, bool) {
	for _, d := range fleet.ProfileTypes() {
		if d.Type == t {
			return d, true
		}
	}
	return fleet.Declaration{}, false
}

// declaredPlatforms are where a type can go, each once.
func declaredPlatforms(d fleet.Declaration) []fleet.Platform {
	var out []fleet.Platform
	for _, t := range d.Targets {
		if !slices.Contains(out, t.Platform) {
			out = append(out, t.Platform)
		}
	}
	return out
}

// fieldWord is the key of a field's words.
func fieldWord(t fleet.ProfileType, key string) string { return "field." + string(t) + "." + key }

// settingGroup is a heading of the form with its fields.
type settingGroup struct {
	Title    string
	Fields   []settingField
	Advanced []settingField
	Open     bool   // the advanced ones hold something worth seeing
	Note     string // where all of them count
	WhenSays string // when all of them count
}

// settingField is one setting in the form.
type settingField struct {
	Field
	When     string // "settings.account=imap" for the script
	WhenSays string // the same in words, for those without scripts
	Note     string // where it counts
	Inserts  bool   // variables may stand in it
	Held     string // a secret that is there already, as fleet.HoldSecret or fleet.SecretShown gives it
	MakeType fleet.ProfileType
	MakeWord string
	File     bool   // a file may be read into it
	Accept   string // the endings of its name
}

// settingName is the name of a setting's field: the same that refusals use.
func settingName(key string) string { return "settings." + key }

// settingValues reads the settings from a form as JSON values. What cannot be read as a number stays text, so that the domain refuses it.
func settingValues(d fleet.Declaration, form Form) fleet.Values {
	v := fleet.Values{}
	for _, fd := range d.Fields {
		text := strings.ReplaceAll(form.Value(settingName(fd.Key)), "\r\n", "\n")
		if fd.Kind != fleet.KindCertificate && fd.Kind != fleet.KindSecret {
			text = strings.TrimSpace(text)
		}
		switch fd.Kind {
		case fleet.KindBool:
			v[fd.Key] = text != ""
		case fleet.KindNumber, fleet.KindDays, fleet.KindHour, fleet.KindPort:
			if text == "" {
				if fd.Required && v.Counts(d, fd) {
					v[fd.Key] = ""
				}
				continue
			}
			if n, err := strconv.Atoi(text); err == nil {
				v[fd.Key] = n
			} else {
				v[fd.Key] = text
			}
		default:
			if text != "" || fd.Default != nil {
				v[fd.Key] = text
			}
		}
	}
	return v
}

// setSettings puts values into the form, the declaration's defaults where there are none.
func setSettings(d fleet.Declaration, form Form, v fleet.Values) {
	for name := range form.Values {
		if strings.HasPrefix(name, "settings.") {
			form.Values.Del(name)
		}
	}
	for _, fd := range d.Fields {
		x, ok := v[fd.Key]
		if !ok {
			x = fd.Default
		}
		form.Values.Del(settingName(fd.Key))
		if text := settingText(x); text != "" {
			form.Values.Set(settingName(fd.Key), text)
		}
	}
}

// heldName is the field beside a secret's own that carries it when nothing was typed anew.
func heldName(key string) string { return "held." + settingName(key) }

// holdSecrets puts secrets that were typed into a form that can be carried from step to step, and takes back those that are carried: a
// page never holds a secret in the clear.
func (q *Request) holdSecrets(d fleet.Declaration, form Form) {
	for _, fd := range d.Fields {
		if fd.Kind != fleet.KindSecret {
			continue
		}
		name := settingName(fd.Key)
		if held := form.Value(heldName(fd.Key)); form.Value(name) == "" && held != "" {
			form.Values.Set(name, held)
		}
		form.Values.Del(heldName(fd.Key))
		if typed := form.Value(name); typed != "" {
			form.Values.Set(name, q.ui.fleet.HoldSecret(q.Actor, typed))
		}
	}
}

// settingText writes a value as a form holds it.
func settingText(x any) string {
	switch x := x.(type) {
	case string:
		return x
	case bool:
		if x {
			return "on"
		}
	case int:
		return strconv.Itoa(x)
	case float64:
		return strconv.Itoa(int(x))
	case json.Number:
		return x.String()
	}
	return ""
}

// settingGroups is the form for a type on these platforms. What none of them honours is left out; shown says which fields are there.
func (q *Request) settingGroups(d fleet.Declaration, platforms []fleet.Platform, form Form) (groups []settingGroup, shown map[string]bool, err error) {
	shown = map[string]bool{}
	var refs map[fleet.ProfileType][]Option
	for _, fd := range d.Fields {
		if len(fd.Platforms) > 0 && !slices.ContainsFunc(fd.Platforms, func(p fleet.Platform) bool { return slices.Contains(platforms, p) }) {
			continue
		}
		if fd.Kind == fleet.KindProfile && refs == nil {
			if refs, err = q.referable(); err != nil {
				return nil, nil, err
			}
		}
		if len(groups) == 0 || groups[len(groups)-1].Title != q.T(fieldWord(d.Type, "group."+fd.Group)) {
			groups = append(groups, settingGroup{Title: q.T(fieldWord(d.Type, "group."+fd.Group))})
		}
		g := &groups[len(groups)-1]
		f := q.settingField(d, fd, platforms, form, refs)
		shown[f.Name] = true
		if !fd.Advanced {
			g.Fields = append(g.Fields, f)
			continue
		}
		g.Advanced = append(g.Advanced, f)
		g.Open = g.Open || f.Error() != "" || form.Value(f.Name) != settingText(fd.Default)
	}
	for i := range groups {
		groups[i].gather()
	}
	return groups, shown, nil
}

// gather says once, at the heading, what holds for all fields of the group, and the rest with each field's hint.
func (g *settingGroup) gather() {
	all := []*settingField{}
	for i := range g.Fields {
		all = append(all, &g.Fields[i])
	}
	for i := range g.Advanced {
		all = append(all, &g.Advanced[i])
	}
	if len(all) > 1 && !slices.ContainsFunc(all, func(f *settingField) bool { return f.Note != all[0].Note }) {
		g.Note = all[0].Note
	}
	if len(all) > 1 && !slices.ContainsFunc(all, func(f *settingField) bool { return f.WhenSays != all[0].WhenSays }) {
		g.WhenSays = all[0].WhenSays
	}
	for _, f := range all {
		if g.Note == "" && f.Note != "" {
			f.Hint = strings.TrimSpace(f.Hint + " " + f.Note)
		}
		if g.WhenSays != "" {
			f.WhenSays = ""
		}
	}
}

func (q *Request) settingField(d fleet.Declaration, fd fleet.Field, platforms []fleet.Platform, form Form, refs map[fleet.ProfileType][]Option) settingField {
	word := fieldWord(d.Type, fd.Key)
	f := settingField{Field: Field{Form: form, Name: settingName(fd.Key), Label: q.T(word), Type: "text", Required: fd.Required, Value: form.Value(settingName(fd.Key))}, Inserts: fd.Template}
	if q.Words.Has(word + ".hint") {
		f.Hint = q.T(word + ".hint")
	}
	if q.Words.Has(word + ".unit") {
		f.Unit = q.T(word + ".unit")
	}
	if q.Words.Has(word + ".example") {
		f.Placeholder = q.T(word + ".example")
	}
	switch fd.Kind {
	case fleet.KindBool:
		f.Type = "check"
	case fleet.KindNumber, fleet.KindDays, fleet.KindPort:
		f.Type, f.Min, f.Max = "number", strconv.Itoa(fd.Min), strconv.Itoa(fd.Max)
		f.Required = fd.Required || fd.Default != nil
		if fd.Kind == fleet.KindPort {
			f.Min, f.Max = "1", "65535"
		}
	case fleet.KindHour:
		f.Type, f.Required = "select", fd.Required || fd.Default != nil
		for n := fd.Min; n <= fd.Max; n++ {
			f.Options = append(f.Options, Option{Value: strconv.Itoa(n), Word: saysHour(n)})
		}
	case fleet.KindChoice:
		f.Type = "choices"
	case fleet.KindCertificate:
		f.Type, f.Mono, f.Rows, f.File, f.Accept = "textarea", true, 8, true, ".pem,.crt,.cer,.der"
	case fleet.KindJSON:
		f.Type, f.Mono, f.Rows = "textarea", true, 8
	case fleet.KindURL:
		f.Type = "url"
	case fleet.KindHosts:
		f.Mono = true
	case fleet.KindDocument:
		f.Type, f.Mono, f.Rows = "textarea", true, 6
		if fd.Max > 50_000 { // whole files, rather than some lines
			f.Rows, f.File, f.Accept = 18, true, ".mobileconfig,.plist,.xml,.json,.txt"
		}
	case fleet.KindPicture:
		f.Type, f.Mono, f.Rows, f.File, f.Accept = "textarea", true, 3, true, ".png"
	case fleet.KindSecret:
		f.Type, f.Value, f.Autocomplete = "password", "", "new-password"
		if f.Held = form.Value(f.Name); f.Held != "" {
			f.Placeholder = fleet.SecretShown
			f.Hint = strings.TrimSpace(f.Hint + " " + q.T("profile.secret.keep"))
		}
	case fleet.KindProfile:
		f.Type, f.MakeType, f.MakeWord = "select", fd.RefType, q.T("profile.make."+string(fd.RefType))
		f.Options = append([]Option{{Value: "", Word: q.T("profile.choose." + string(fd.RefType))}}, refs[fd.RefType]...)
		if !q.Actor.May(fleet.ProfilesEdit) {
			f.MakeWord = ""
		}
	}
	for _, o := range fd.Options {
		option := Option{Value: o, Word: q.saysOption(d.Type, fd, o)}
		if q.Words.Has(word + "." + o + ".hint") {
			option.Hint = q.T(word + "." + o + ".hint")
		}
		f.Options = append(f.Options, option)
	}
	if len(fd.Options) > 0 && fd.Kind != fleet.KindChoice {
		f.Type = "select"
	}
	if len(fd.Options) > 0 && f.Type == "choices" && !slices.ContainsFunc(f.Options, func(o Option) bool { return o.Hint != "" }) {
		f.Type = "select"
	}
	if fd.When != "" {
		f.When = "settings." + fd.When
		f.WhenSays = q.saysWhen(d, fd)
	}
	f.Note = q.saysWhere(fd, platforms)
	phone := func(p fleet.Platform) bool { return p == fleet.IOS || p == fleet.IPadOS }
	switch {
	case !fd.Supervised || !slices.ContainsFunc(platforms, phone):
	case f.Note == "" || slices.ContainsFunc(fd.Platforms, func(p fleet.Platform) bool { return !phone(p) }):
		f.Note = strings.TrimSpace(f.Note + " " + q.T("profile.supervised"))
	default:
		f.Note = q.T("profile.supervised.only")
	}
	return f
}

// saysOption names a choice.
func (q *Request) saysOption(t fleet.ProfileType, fd fleet.Field, o string) string {
	if key := fieldWord(t, fd.Key+"."+o); q.Words.Has(key) {
		return q.T(key)
	}
	if n, err := strconv.Atoi(o); err == nil && fd.Kind == fleet.KindDays {
		return q.Words.N("time.unit.days", n, nil)
	}
	return o
}

// saysHour writes a full hour as a clock shows it.
func saysHour(n int) string { return fmt.Sprintf("%02d:00", n) }

// saysWhen is a field's condition in words.
func (q *Request) saysWhen(d fleet.Declaration, fd fleet.Field) string {
	key, wants, _ := strings.Cut(fd.When, "=")
	for _, other := range d.Fields {
		if other.Key != key {
			continue
		}
		if other.Kind == fleet.KindBool {
			return q.T("profile.when.on", "field", q.T(fieldWord(d.Type, key)))
		}
		var values []string
		for want := range strings.SplitSeq(wants, "|") {
			values = append(values, "“"+q.saysOption(d.Type, other, want)+"”")
		}
		if len(values) > 1 {
			return q.T("profile.when.one-of", "field", q.T(fieldWord(d.Type, key)), "values", q.Words.List(values))
		}
		return q.T("profile.when", "field", q.T(fieldWord(d.Type, key)), "value", q.saysOption(d.Type, other, wants))
	}
	return ""
}

// saysWhere tells on which of the chosen platforms a field counts, and where its bounds are narrower.
func (q *Request) saysWhere(fd fleet.Field, platforms []fleet.Platform) string {
	var notes []string
	if len(fd.Platforms) > 0 {
		var on []fleet.Platform
		for _, p := range platforms {
			if slices.Contains(fd.Platforms, p) {
				on = append(on, p)
			}
		}
		if len(on) < len(platforms) {
			notes = append(notes, q.T("profile.only-on", "platforms", q.saysPlatforms(on)))
		}
	}
	at := map[int][]fleet.Platform{}
	var most []int
	for _, b := range fd.Bounds {
		if slices.Contains(platforms, b.Platform) {
			if at[b.Max] == nil {
				most = append(most, b.Max)
			}
			at[b.Max] = append(at[b.Max], b.Platform)
		}
	}
	for _, n := range most {
		notes = append(notes, q.T("profile.at-most-on", "most", n, "platforms", q.saysPlatforms(at[n])))
	}
	return strings.Join(notes, " ")
}

// referable are the profiles that others may refer to, by type.
func (q *Request) referable() (map[fleet.ProfileType][]Option, error) {
	out := map[fleet.ProfileType][]Option{}
	list, err := q.ui.fleet.Profiles(q.Context(), q.Actor, fleet.ListQuery{Limit: 500})
	if err != nil {
		return nil, err
	}
	for _, p := range list.Items {
		out[p.Type] = append(out[p.Type], Option{Value: string(p.ID), Word: p.Name})
	}
	return out, nil
}

// settingLines are a profile's settings in words, by heading; what does not count is left out.
type settingLines struct {
	Title string
	Note  string // where all of them count
	Lines []FactLine
}

func (g *settingLines) gather() {
	if len(g.Lines) < 2 {
		return
	}
	note := g.Lines[0].Hint
	for _, l := range g.Lines {
		if l.Hint != note {
			return
		}
	}
	g.Note = note
	for i := range g.Lines {
		g.Lines[i].Hint = ""
	}
}

func (q *Request) settingsInWords(t fleet.ProfileType, v fleet.Values, platforms []fleet.Platform) ([]settingLines, error) {
	d, ok := declared(t)
	if !ok {
		return nil, nil
	}
	var out []settingLines
	for _, fd := range d.Fields {
		if !v.Counts(d, fd) || len(fd.Platforms) > 0 && !slices.ContainsFunc(fd.Platforms, func(p fleet.Platform) bool { return slices.Contains(platforms, p) }) {
			continue
		}
		x, ok := v[fd.Key]
		if !ok || x == "" || t == fleet.TypeRestrictions && x == false {
			continue // what is not restricted goes without saying: "No camera: No" would only puzzle
		}
		value, err := q.saysSetting(t, fd, x, true)
		if err != nil {
			return nil, err
		}
		title := q.T(fieldWord(t, "group."+fd.Group))
		if len(out) == 0 || out[len(out)-1].Title != title {
			out = append(out, settingLines{Title: title})
		}
		g := &out[len(out)-1]
		g.Lines = append(g.Lines, FactLine{Name: q.T(fieldWord(t, fd.Key)), Value: value, Hint: q.saysWhere(fleet.Field{Platforms: fd.Platforms}, platforms)})
	}
	for i := range out {
		out[i].gather()
	}
	return out, nil
}

// saysSetting writes one value: a string, or with links allowed a link as HTML.
func (q *Request) saysSetting(t fleet.ProfileType, fd fleet.Field, x any, links bool) (any, error) {
	word := fieldWord(t, fd.Key)
	text := settingText(x)
	switch fd.Kind {
	case fleet.KindBool:
		if text != "" {
			return q.T("words.yes"), nil
		}
		return q.T("words.no"), nil
	case fleet.KindChoice:
		return q.saysOption(t, fd, text), nil
	case fleet.KindHour:
		if n, err := strconv.Atoi(text); err == nil {
			return saysHour(n), nil
		}
	case fleet.KindNumber, fleet.KindDays:
		if text == "0" && q.Words.Has(word+".zero") {
			return q.T(word + ".zero"), nil
		}
		if len(fd.Options) > 0 {
			return q.saysOption(t, fd, text), nil
		}
		if q.Words.Has(word + ".unit") {
			return text + " " + q.T(word+".unit"), nil
		}
	case fleet.KindDocument:
		sum := sha256.Sum256([]byte(text))
		return q.Words.N("profile.document.says", strings.Count(text, "\n")+1, map[string]any{"sum": hex.EncodeToString(sum[:4])}), nil
	case fleet.KindPicture:
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return q.T("profile.nothing"), nil
		}
		sum := sha256.Sum256(b)
		return q.T("profile.picture.says", "kilobytes", (len(b)+1023)/1024, "sum", hex.EncodeToString(sum[:4])), nil
	case fleet.KindSecret:
		if text == fleet.SecretShown {
			return q.T("profile.secret.set"), nil
		}
		return q.T("profile.secret.new"), nil
	case fleet.KindCertificate:
		c, err := fleet.ParseCertificate(text)
		if err != nil {
			return q.T("profile.certificate.unreadable"), nil
		}
		f := fleet.DescribeCertificate(c)
		return q.T("profile.certificate.says", "subject", f.Subject, "until", q.Words.Date(f.NotAfter)), nil
	case fleet.KindProfile:
		p, err := q.ui.fleet.Profile(q.Context(), q.Actor, fleet.ProfileID(text))
		if err != nil {
			return q.T("profile.gone"), unlessGone(err)
		}
		if links {
			return template.HTML(`<a href="/profiles/` + template.HTMLEscapeString(string(p.ID)) + `">` + template.HTMLEscapeString(p.Name) + `</a>`), nil
		}
		return p.Name, nil
	}
	if name, ok := wholeVariable(text); ok && fd.Template && q.Words.Has("variable.whole."+name) {
		return q.T("variable.whole." + name), nil
	}
	return text, nil
}

// wholeVariable is the name of the variable that a text consists of.
func wholeVariable(text string) (string, bool) {
	name, ok := strings.CutPrefix(strings.TrimSpace(text), "{{")
	if !ok {
		return "", false
	}
	name, ok = strings.CutSuffix(name, "}}")
	return strings.TrimSpace(name), ok && !strings.ContainsAny(name, "{}")
}
