// Package api offers everything that the web pages do to programs: REST with JSON under /api/v1, bearer tokens, problem+json
// errors (RFC 9457), cursor paging and idempotency keys on POST. One table of routes (routes.go) is the truth for the router,
// the OpenAPI document and the tests. It holds no rule of its own: roles, scope and checks are fleet's.
package api
