package api

import (
	"context"
	"net/http"

	"muster/appliance/fleet"
)

// route is one entry of the table: what the router, the OpenAPI document and the tests know.
type route struct {
	Method, Path string
	Tag, Summary string
	Query        []string // names of query parameters besides those of Paged
	Paged        bool     // takes q, cursor, limit, reverse
	In           any      // zero value of the body, or nil
	Out          any      // zero value of the answer, or nil for 204
	Status       int      // 0 = 200
	Do           func(context.Context, *call) (any, error)
	Raw          func(context.Context, *call) error // writes the answer itself
}

var routes = concat(meRoutes, peopleRoutes, groupRoutes, invitationRoutes, deviceRoutes, profileRoutes, certificateRoutes, termsRoutes, auditRoutes, adminRoutes, settingsRoutes, googleRoutes, jobRoutes, ruleRoutes, backupRoutes)

func concat(tables ...[]route) []route {
	var all []route
	for _, t := range tables {
		all = append(all, t...)
	}
	return all
}

// page is how every list is answered.
type page[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
	Total int    `json:"total"`
}

// paged turns a list of the domain into an answer, each item through view.
func paged[T, V any](l fleet.List[T], err error, view func(T) V) (any, error) {
	if err != nil {
		return nil, err
	}
	p := page[V]{Items: make([]V, 0, len(l.Items)), Next: l.Next, Total: l.Total}
	for _, it := range l.Items {
		p.Items = append(p.Items, view(it))
	}
	return p, nil
}

func same[T any](v T) T { return v }

// created is the status of a POST that made something.
const created = http.StatusCreated

// none is an answer without a body.
func none(err error) (any, error) { return nil, err }
