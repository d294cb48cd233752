package ui

import (
	"net/http"
	"sort"
)

// Static serves the style sheet, scripts and icons under /static/.
func (r *Renderer) Static() http.Handler { return r.assets }

// Icons lists the names that the template function "icon" knows.
func (r *Renderer) Icons() []string {
	var names []string
	for name := range r.assets.icons {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}
