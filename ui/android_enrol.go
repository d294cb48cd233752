package ui

import (
	"html/template"
	"time"

	"muster/appliance/fleet"
)

// AndroidEntry is what a person needs to bring an Android under management.
type AndroidEntry struct {
	Link    string // opens the set-up of a work profile on a phone in use
	Token   string // to be typed
	QR      string // text of the code that a new device reads
	Expires time.Time
}

// androidPart is the part of the install page that the person of an Android reads.
type androidPart struct {
	Mode     string
	Personal bool // a phone in use gets a work profile; others begin as new
	Kiosk    bool
	OnPhone  bool // a new device is set up from a page on another screen, and this is a phone
	Link     template.URL
	QR       template.HTML
	Code     string // text behind the code
	Token    string // in groups, to be typed
	Whole    string // the same without blanks
	Until    template.HTML
	Again    string
}

// androidSteps gets a way in for a ticket and puts it on the page.
func (q *Request) androidSteps(ticket string, mode fleet.Mode) (*androidPart, error) {
	e, err := q.ui.androidEntry(q.Context(), ticket)
	if err != nil {
		return nil, err
	}
	p := &androidPart{Mode: string(mode), Personal: mode == fleet.ModeWorkProfile, Kiosk: mode == fleet.ModeKiosk, Link: template.URL(e.Link), // made by us, in no way by the person
		Code: e.QR, Token: inGroups(e.Token, 5), Whole: e.Token, Until: timeElement(q.Words, e.Expires, q.Words.Clock, false, true), Again: q.URL.Path}
	p.OnPhone = !p.Personal && inHand(q.Request).Kind == "android"
	p.QR, err = QR(e.QR, q.T("install.android.qr"))
	return p, err
}

// inGroups puts a blank after every n characters, for people who type them.
func inGroups(s string, n int) string {
	out := ""
	for i := 0; i < len(s); i += n {
		if i > 0 {
			out += " "
		}
		out += s[i:min(i+n, len(s))]
	}
	return out
}

// startsNew says whether a device of this kind is set up from its first screen, with the page on another one.
func startsNew(t fleet.Target) bool {
	return t.Platform == fleet.Android && t.Mode != fleet.ModeWorkProfile
}
