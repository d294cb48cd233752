package ui

import (
	"html/template"
	"time"
)

// WindowsCode is what a person needs to connect a PC: the user name and the code that
// they type where Windows asks for a password.
type WindowsCode struct {
	User    string
	Code    string // letters and digits; shown in two halves
	Server  string // address that Windows asks for when it is not told
	Link    string // opens the enrolment dialogue of Windows with user name and server filled in
	Expires time.Time
}

// windowsPart is the part of the install page that a PC's person reads.
type windowsPart struct {
	User, Code, Server string
	Link               template.URL
	Until              template.HTML // when the code ends
	Again              string        // address of this page, which makes another code
}

// windowsSteps makes a code for a ticket and puts it on the page.
func (q *Request) windowsSteps(ticket string) (*windowsPart, error) {
	c, err := q.ui.windowsCode(q.Context(), ticket)
	if err != nil {
		return nil, err
	}
	half := len(c.Code) / 2
	return &windowsPart{User: c.User, Code: c.Code[:half] + " " + c.Code[half:], Server: c.Server, Link: template.URL(c.Link), // made by us, in no way by the person
		Until: timeElement(q.Words, c.Expires, q.Words.Clock, false, true), Again: q.URL.Path}, nil
}
