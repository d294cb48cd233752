package ui

import (
	"muster/ui/words"
)

// Page is what every page needs; Data is what this one adds.
type Page struct {
	Title  string // in the browser's tab and, unless Head says otherwise, above the content
	Lang   words.Lang
	Theme  string // "light", "dark" or "" for the system's
	Org    string // the organisation's name; "" before set-up
	Path   string // of the request, for returning to it
	Nav    []NavGroup
	User   *User // nil when nobody is signed in
	Flash  []Message
	Banner []Message // warnings about the appliance's health
	Demo   bool
	Live   bool // the page has parts that follow changes; see doc.go
	Slim   string
	Data   any
}

// User is who is signed in.
type User struct{ Name, Mail, Role string }

// NavGroup is a part of the navigation; the first has no title.
type NavGroup struct {
	Title string
	Items []NavItem
}

// NavItem is one entry of the navigation.
type NavItem struct {
	Href, Icon, Word string
	Current          bool
	First            bool // stands in a phone's bottom bar
	Count            int  // shown when above zero
	Alert            bool // the count is of things that need someone
}

// BottomItems are the entries for a phone's bottom bar.
func (p *Page) BottomItems() []NavItem { return p.navItems(true) }

// MoreItems are the entries behind the bottom bar's last button.
func (p *Page) MoreItems() []NavItem { return p.navItems(false) }

func (p *Page) navItems(first bool) []NavItem {
	var out []NavItem
	for _, g := range p.Nav {
		for _, item := range g.Items {
			if item.First == first {
				out = append(out, item)
			}
		}
	}
	return out
}
