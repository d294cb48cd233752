// Package ui is Muster's web interface: the administrators' pages, and the pages
// that everyone else sees (set-up, sign-in, enrolment). It renders HTML on the
// server; scripts only add comfort. It asks the domain and nobody else: rights,
// scope and rules live in fleet, sentences in ui/words.
//
// # A new screen
//
// Four things, each in a file named after the screen:
//
//   - devices.go: a small interface of the fleet methods it needs (add it to
//     Domain), a func (u *UI) deviceRoutes() that registers handlers with u.admin
//     (signed in) or u.open, called from UI.routes, and the handlers:
//     func (u *UI) devices(q *Request) error.
//   - templates/pages/app/devices.html, which defines "content". The layout adds
//     navigation, banners, flashes and the command palette. Layout people is the
//     narrow one for everyone else.
//   - words/en/devices.json and words/nl/devices.json. A test compares them, and
//     another finds every key that a template or a handler names.
//   - a place in nav.go.
//
// A handler either answers, with q.Page, q.PageStatus or q.Redirect, or returns an
// error and writes nothing: adapt turns errors of fleet into pages in plain words
// (ErrNotFound is 404, ErrForbidden 403, ErrConflict and ErrNotApplicable 409,
// ErrGone 410, ErrLimited 429; anything else is 500 with a reference that stands
// in the log).
//
//	func (u *UI) savePerson(q *Request) error {
//		form, err := q.ReadForm()
//		if err != nil {
//			return err
//		}
//		p, err := u.fleet.CreatePerson(q.Context(), q.Actor, …)
//		if err != nil {
//			if q.Refused(&form, err) { // sentences at the fields, values kept
//				return q.PageStatus(http.StatusUnprocessableEntity, "app/person-new", Page{Title: …, Data: form})
//			}
//			return err
//		}
//		q.Flash(Good, "person.created", "name", p.Name)
//		return q.Redirect("/people/" + string(p.ID))
//	}
//
// There are no CSRF tokens: http.CrossOriginProtection refuses foreign POSTs, and
// the cookies are SameSite=Lax. A GET never changes anything.
//
// # In a template
//
// The dot is a *Page; what the screen passed is .Data. Functions:
//
//	t KEY [NAME VALUE…]      a text          n KEY COUNT [NAME VALUE…]   one that counts
//	rich KEY …               a text with **strong** words
//	ago T, agocell T         "3 hours ago" with the exact time on focus or hover; agocell in tables
//	datetime T, date T       number N, bytes N, percent F, duration D, join LIST
//	icon NAME [SIZE]         from static/icons.svg; "s" is 16 px, "l" 24
//	static NAME              the address of a static file, with its hash
//	input FORM NAME LABEL …  a Field for {{template "field" …}}; see newField for its properties
//	dict KEY VALUE…, list …, paragraphs TEXT, initials NAME, json RAW, has KEY, lang, langs, upper, capital, breakable
//
// Components take the type of the same name from components.go: status, button,
// head, message, empty, facts, timeline, tabs, steps, progress, pager, confirm
// (a dialog as a page), field, form-error, secret, bars, split. What only holds
// other things is plain HTML with a class: section.card (with header h2),
// div.table-card > table.table.cards (th scope, td data-label for phones,
// a.row-link makes the row a link), form.filters, ul.needs, ul.ticks, ul.bullets,
// details.disclose > div.body, article.paper for a receipt, div.grid, div.stack,
// div.content. testdata/gallery shows all of them together.
//
// # Live pages
//
// Set Page.Live, and give each part that follows changes an id and data-live with
// the kinds of fleet.Change it shows: <section id="state" data-live="device:01H…
// action">. The stream at /live names what changed; the script fetches the page
// anew and exchanges those parts, unless someone is typing in them. Without
// scripts the page is simply as it was when it was opened.
//
// A form.filters with data-apply sends itself when a choice changes; data-copy,
// data-print and data-confirm (a typed name) are described in static/js. The
// palette offers the navigation and whatever /search?q= lists as
// <a data-kind="…"> inside #results.
//
// # Rules that the tests hold
//
// No inline script, style or handler (the content policy forbids them); sizes in
// SVG are attributes and colours classes; exactly one h1 and one main; every
// field labelled; contrast of 4.5:1 in both themes; nothing scrolls sideways at
// 360 px; forms work without scripts. uitest checks any page for all of it:
//
//	tab := uitest.Start(t).Open(t, url, uitest.View{Width: 360, Dark: true, Lang: "nl"})
//	tab.Check(t)
//
// Third-party code: htmx 2.0.11 in static/vendor, with its licence; a test holds
// its SHA-256.
package ui
