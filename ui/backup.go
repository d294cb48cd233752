package ui

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"muster/appliance/fleet"
)

// backupDomain is what the pages about backups and restores ask.
type backupDomain interface {
	BackupDir() string
	Backups(ctx context.Context, a fleet.Actor) ([]*fleet.Backup, error)
	MakeBackup(ctx context.Context, a fleet.Actor, kind fleet.BackupKind) (*fleet.Backup, error)
	OpenBackup(ctx context.Context, a fleet.Actor, id fleet.BackupID) (*fleet.Backup, io.ReadSeekCloser, error)
	DeleteBackup(ctx context.Context, a fleet.Actor, id fleet.BackupID) error
	RehearseBackup(ctx context.Context, a fleet.Actor, id fleet.BackupID) (*fleet.Backup, error)
	Recovery(ctx context.Context, a fleet.Actor) (*fleet.Recovery, error)
	NewRecovery(ctx context.Context, a fleet.Actor) (*fleet.Recovery, string, error)
	PutOffRecovery(ctx context.Context, a fleet.Actor) error
	ProveRecovery(ctx context.Context, a fleet.Actor, parts []string) (*fleet.Recovery, error)
	Restored(ctx context.Context, a fleet.Actor) (*fleet.Restored, error)
	Release(ctx context.Context, a fleet.Actor, list string) error
	Adopt(ctx context.Context, a fleet.Actor, fingerprint string, in fleet.AdoptInput) (*fleet.Device, error)
}

func (u *UI) backupRoutes() {
	u.admin("GET /settings/backup", u.backup)
	u.admin("POST /settings/backup", u.makeBackup)
	u.admin("GET /settings/backup/{id}/file", u.backupFile)
	u.admin("POST /settings/backup/{id}/rehearse", u.rehearseBackup)
	u.admin("GET /settings/backup/{id}/delete", u.askDeleteBackup)
	u.admin("POST /settings/backup/{id}/delete", u.deleteBackup)
	u.admin("GET /settings/backup/key", u.askRecovery)
	u.admin("POST /settings/backup/key", u.newRecovery)
	u.admin("POST /settings/backup/key/later", u.putOffRecovery)
	u.admin("GET /settings/backup/proof", u.proof)
	u.admin("POST /settings/backup/proof", u.prove)
	u.admin("GET /restored", u.restored)
	u.admin("POST /restored", u.release)
	u.admin("GET /restored/{fingerprint}", u.askAdopt)
	u.admin("POST /restored/{fingerprint}", u.adopt)
}

// backupRow is a backup in words.
type backupRow struct {
	ID        fleet.BackupID
	Created   time.Time
	What, By  string
	Size      string
	Status    Status
	Fault     string
	Rehearsed *time.Time
	Rehearsal Status
	Fetched   *time.Time
	Has       bool // its file is there
}

type backupPage struct {
	Tabs     []Tab
	Edit     bool // may make, fetch and delete backups
	Owner    bool // may replace the recovery key
	Recovery *fleet.Recovery
	Dir      string
	Latest   *backupRow
	Rows     []backupRow
	Status   Status
	Held     bool
	Beside   *Message // no backup is kept elsewhere
}

func (q *Request) backupRow(b *fleet.Backup) backupRow {
	row := backupRow{ID: b.ID, Created: b.Created, What: q.T("backup.kind." + string(b.Kind)), Has: b.File != "" && !b.Gone, Rehearsed: b.Rehearsed, Fetched: b.Fetched}
	if b.Kind == fleet.BackupManual {
		row.By = b.By
	}
	if b.Size > 0 {
		row.Size = q.Words.Bytes(b.Size)
	}
	switch {
	case b.Failed != nil:
		row.Status, row.Fault = Status{Kind: Bad, Word: q.T("backup.state.failed")}, q.Say(*b.Failed)
	case b.Gone:
		row.Status = Status{Kind: Mute, Word: q.T("backup.state.gone")}
	default:
		row.Status = Status{Kind: Good, Word: q.T("backup.state.verified")}
	}
	switch {
	case b.Rehearsal != nil:
		row.Rehearsal, row.Fault = Status{Kind: Bad, Word: q.T("backup.rehearsal.failed")}, q.Say(*b.Rehearsal)
	case b.Rehearsed != nil:
		row.Rehearsal = Status{Kind: Good, Word: q.T("backup.rehearsal.done")}
	}
	return row
}

func (u *UI) backup(q *Request) error {
	if err := q.mayReadSettings(); err != nil {
		return err
	}
	all, err := u.fleet.Backups(q.Context(), q.Actor)
	if err != nil {
		return err
	}
	p := backupPage{Tabs: q.settingsTabs("backup"), Edit: q.Actor.MayWhole(fleet.SettingsEdit), Owner: q.Actor.May(fleet.AdminsEdit) && q.Actor.AllTags, Dir: u.fleet.BackupDir()}
	if p.Recovery, err = u.fleet.Recovery(q.Context(), q.Actor); err != nil {
		return err
	}
	if q.Actor.May(fleet.DevicesRead) {
		r, err := u.fleet.Restored(q.Context(), q.Actor)
		if err != nil {
			return err
		}
		p.Held = r.Held
	}
	for _, b := range all {
		row := q.backupRow(b)
		p.Rows = append(p.Rows, row)
		if p.Latest == nil && b.Verified && !b.Gone {
			p.Latest = &row
		}
	}
	needs, err := u.fleet.Needs(q.Context(), q.Actor)
	if err != nil {
		return err
	}
	for _, n := range needs {
		if n.Reason.Code == "need.backup-same-disk" {
			p.Beside = &Message{Kind: Warn, Text: q.Say(n.Reason) + " " + q.T("todo."+n.Reason.Code)}
		}
	}
	switch {
	case p.Recovery.Name == "":
		p.Status = Status{Kind: Warn, Word: q.T("backup.none.key")}
	case p.Latest == nil:
		p.Status = Status{Kind: Warn, Word: q.T("backup.none")}
	case u.now().Sub(p.Latest.Created) > 3*24*time.Hour:
		p.Status = Status{Kind: Warn, Word: q.T("backup.old")}
	default:
		p.Status = Status{Kind: Good, Word: q.T("backup.state.verified")}
	}
	return q.Page("app/settings-backup", Page{Title: q.T("settings.tab.backup"), Data: p})
}

// back tells what came of a step and returns to the page of backups; only what is nobody's refusal is an error page.
func (q *Request) backToBackups(err error, done string) error {
	if err != nil {
		form := Form{Errors: map[string]string{}}
		if !q.Refused(&form, err) {
			return err
		}
		q.Flash(Bad, "backup.refused", "why", form.Errors[""])
	} else {
		q.Flash(Good, done)
	}
	return q.Redirect("/settings/backup")
}

func (u *UI) makeBackup(q *Request) error {
	// A browser that goes away does not end it: it is wanted all the same.
	_, err := u.fleet.MakeBackup(context.WithoutCancel(q.Context()), q.Actor, fleet.BackupManual)
	return q.backToBackups(err, "backup.made")
}

func (u *UI) rehearseBackup(q *Request) error {
	b, err := u.fleet.RehearseBackup(context.WithoutCancel(q.Context()), q.Actor, fleet.BackupID(q.PathValue("id")))
	if err == nil && b.Rehearsal != nil {
		q.Flash(Bad, "backup.refused", "why", q.Say(*b.Rehearsal))
		return q.Redirect("/settings/backup")
	}
	return q.backToBackups(err, "backup.rehearsed")
}

func (u *UI) backupFile(q *Request) error {
	b, file, err := u.fleet.OpenBackup(q.Context(), q.Actor, fleet.BackupID(q.PathValue("id")))
	if err != nil {
		return err
	}
	defer file.Close()
	h := q.W.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", `attachment; filename="`+b.File+`"`)
	h.Set("Cache-Control", "no-store")
	http.ServeContent(q.W, q.Request, "", time.Time{}, file)
	return nil
}

func (u *UI) askDeleteBackup(q *Request) error {
	title := q.T("backup.delete.title")
	return q.Page("app/confirm", Page{Title: title, Data: Confirm{Title: title, Text: q.T("backup.delete.text"), Action: q.URL.Path, Word: q.T("backup.delete"), Danger: true, Back: "/settings/backup"}})
}

func (u *UI) deleteBackup(q *Request) error {
	return q.backToBackups(u.fleet.DeleteBackup(q.Context(), q.Actor, fleet.BackupID(q.PathValue("id"))), "backup.deleted")
}

func (u *UI) askRecovery(q *Request) error {
	r, err := u.fleet.Recovery(q.Context(), q.Actor)
	if err != nil {
		return err
	}
	title, word := q.T("recovery.make.title"), q.T("recovery.make")
	c := Confirm{Title: title, Text: q.T("recovery.make.text"), Action: q.URL.Path, Word: word, Back: "/settings/backup",
		Points: []string{q.T("recovery.make.1"), q.T("recovery.make.2"), q.T("recovery.make.3")}}
	if r.Name != "" {
		c.Title, c.Word, c.Warning = q.T("recovery.replace.title"), q.T("recovery.replace"), q.T("recovery.replace.warning", "name", r.Name)
	}
	if r.Due {
		c.Title, c.Back, c.Warning = q.T("recovery.last.title"), "", q.T("recovery.last.warning")
		c.Other, c.OtherWord = "/settings/backup/key/later", q.T("recovery.last.later")
	}
	return q.Page("app/confirm", Page{Title: c.Title, Data: c})
}

// recoveryIsNext says whether set-up waits for whoever asks to make the recovery key, or to put it off.
func (q *Request) recoveryIsNext() (bool, error) {
	if !q.Actor.AllTags || !q.Actor.May(fleet.AdminsEdit) || !q.Actor.May(fleet.SettingsRead) {
		return false, nil
	}
	r, err := q.ui.fleet.Recovery(q.Context(), q.Actor)
	return err == nil && r.Due, err
}

func (u *UI) putOffRecovery(q *Request) error {
	if err := u.fleet.PutOffRecovery(q.Context(), q.Actor); err != nil {
		return err
	}
	q.Flash(Warn, "recovery.last.put-off")
	return q.Redirect("/")
}

// newRecovery shows the new key. It is made by POST, so that no link and no prefetch makes one, and shown this once.
func (u *UI) newRecovery(q *Request) error {
	r, key, err := u.fleet.NewRecovery(q.Context(), q.Actor)
	if err != nil {
		return err
	}
	prefix, groups := fleet.RecoveryGroups(key)
	title := q.T("recovery.shown.title")
	q.W.Header().Set("Cache-Control", "no-store")
	return q.Page("app/recovery-key", Page{Title: title, Data: map[string]any{"Head": Head{Title: title, Back: "/settings/backup", BackWord: q.T("settings.tab.backup")},
		"Key": key, "Prefix": prefix, "Groups": groups, "Name": r.Pending.Name}})
}

func (u *UI) proof(q *Request) error {
	return u.showProof(q, http.StatusOK, Form{Values: url.Values{}})
}

func (u *UI) showProof(q *Request, status int, form Form) error {
	r, err := u.fleet.Recovery(q.Context(), q.Actor)
	if err != nil {
		return err
	}
	if r.Pending == nil {
		return q.Redirect("/settings/backup")
	}
	var fields []Field
	for i, at := range r.Pending.Ask {
		name := "part" + strconv.Itoa(i+1)
		if i == 0 && form.Errors["parts"] != "" {
			form.Errors[name] = form.Errors["parts"]
		}
		f, err := newField(form, name, q.T("recovery.part", "n", at), "required", true, "mono", true, "autocomplete", "off")
		if err != nil {
			return err
		}
		fields = append(fields, f)
	}
	title := q.T("recovery.proof.title")
	return q.PageStatus(status, "app/confirm", Page{Title: title, Data: Confirm{Title: title, Text: q.T("recovery.proof.text"), Form: form, Fields: fields, Action: "/settings/backup/proof",
		Word: q.T("recovery.proof"), Back: "/settings/backup"}})
}

func (u *UI) prove(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	_, err = u.fleet.ProveRecovery(q.Context(), q.Actor, []string{form.Value("part1"), form.Value("part2")})
	if err == nil {
		q.Flash(Good, "recovery.proved")
		return q.Redirect("/settings/backup")
	}
	if !q.Refused(&form, err) {
		return err
	}
	if form.Errors["parts"] != "" {
		delete(form.Errors, "")
		return u.showProof(q, http.StatusUnprocessableEntity, form)
	}
	q.Flash(Bad, "backup.refused", "why", form.Errors[""])
	return q.Redirect("/settings/backup")
}

// heldRow is a removal that waits, in words.
type heldRow struct {
	fleet.HeldRemoval
	What string
}

type strangerRow struct {
	fleet.Stranger
	Kind, Hinders string
}

type restoredPage struct {
	Head     Head
	State    *fleet.Restored
	Removals []heldRow
	Unknown  []strangerRow
	Release  bool // the role may confirm the list
	Adopt    bool
	Word     string // of the button
}

func (u *UI) restored(q *Request) error {
	r, err := u.fleet.Restored(q.Context(), q.Actor)
	if err != nil {
		return err
	}
	p := restoredPage{Head: Head{Title: q.T("restored.title"), Sub: q.T("restored.sub")}, State: r,
		Release: q.Actor.AllTags && q.Actor.May(fleet.DevicesRetire) && q.Actor.May(fleet.DevicesWipe) && q.Actor.May(fleet.DevicesDelete),
		Adopt:   q.Actor.AllTags && q.Actor.May(fleet.DevicesEdit) && q.Actor.May(fleet.InviteWrite)}
	for _, x := range r.Removals {
		row := heldRow{HeldRemoval: x, What: q.T("word.state." + string(x.State))}
		if x.Action != "" {
			row.What = q.T("word.action." + string(x.Action))
		}
		p.Removals = append(p.Removals, row)
	}
	for _, x := range r.Unknown {
		row := strangerRow{Stranger: x, Kind: q.T("restored.unknown.other")}
		if x.Platform != "" {
			row.Kind = q.T("word.platform." + string(x.Platform))
		}
		if x.Hindrance != nil {
			row.Hinders = q.Say(*x.Hindrance)
		}
		p.Unknown = append(p.Unknown, row)
	}
	p.Word = q.T("restored.release.none")
	if r.Count > 0 {
		p.Word = q.Words.N("restored.release", r.Count, nil)
	}
	return q.Page("app/restored", Page{Title: p.Head.Title, Data: p})
}

func (u *UI) release(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	if err := u.fleet.Release(q.Context(), q.Actor, form.Value("list")); err != nil {
		if !q.Refused(&form, err) {
			return err
		}
		q.Flash(Bad, "backup.refused", "why", form.Errors[""])
		return q.Redirect("/restored")
	}
	q.Flash(Good, "restored.released")
	return q.Redirect("/restored")
}

// strangerOf finds a device without a record by its certificate.
func (u *UI) strangerOf(q *Request) (*fleet.Stranger, error) {
	r, err := u.fleet.Restored(q.Context(), q.Actor)
	if err != nil {
		return nil, err
	}
	for i := range r.Unknown {
		if r.Unknown[i].Fingerprint == q.PathValue("fingerprint") {
			return &r.Unknown[i], nil
		}
	}
	return nil, fleet.Refuse(fleet.ErrNotFound, "not-found", "what", "device")
}

func (u *UI) askAdopt(q *Request) error {
	return u.showAdopt(q, http.StatusOK, Form{Values: url.Values{"ownership": {string(fleet.Corporate)}}})
}

func (u *UI) showAdopt(q *Request, status int, form Form) error {
	s, err := u.strangerOf(q)
	if err != nil {
		return err
	}
	title := q.T("adopt.title")
	c := Confirm{Title: title, Text: q.T("adopt.text", "serial", s.Serial), Form: form, Action: "/restored/" + s.Fingerprint, Word: q.T("adopt.do"), Back: "/restored"}
	if s.Device != "" {
		c.Text = q.T("adopt.known", "device", s.Name)
		return q.PageStatus(status, "app/confirm", Page{Title: title, Data: c})
	}
	var choices []Option
	for _, o := range []fleet.Ownership{fleet.Corporate, fleet.Personal} {
		choices = append(choices, Option{Value: string(o), Word: q.T("word.ownership." + string(o))})
	}
	own, err := newField(form, "ownership", q.T("adopt.ownership"), "type", "radios", "required", true, "options", choices)
	if err != nil {
		return err
	}
	person, err := newField(form, "person", q.T("adopt.person"), "hint", q.T("adopt.person.hint"), "autocomplete", "off")
	if err != nil {
		return err
	}
	c.Fields, c.Warning = []Field{own, person}, q.T("adopt.warning")
	return q.PageStatus(status, "app/confirm", Page{Title: title, Data: c})
}

func (u *UI) adopt(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	in := fleet.AdoptInput{Ownership: fleet.Ownership(form.Value("ownership"))}
	if who := strings.TrimSpace(form.Value("person")); who != "" {
		l, err := u.fleet.People(q.Context(), q.Actor, fleet.ListQuery{Search: who, Limit: 2})
		if err != nil {
			return err
		}
		if len(l.Items) != 1 {
			form.Errors["person"] = q.T("adopt.person.which")
			return u.showAdopt(q, http.StatusUnprocessableEntity, form)
		}
		in.Person = l.Items[0].ID
	}
	d, err := u.fleet.Adopt(q.Context(), q.Actor, q.PathValue("fingerprint"), in)
	if err != nil {
		if q.Refused(&form, err) {
			return u.showAdopt(q, http.StatusUnprocessableEntity, form)
		}
		return err
	}
	q.Flash(Good, "adopt.done", "device", d.Name)
	return q.Redirect("/devices/" + string(d.ID))
}
