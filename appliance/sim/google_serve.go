package sim

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxGoogleBody bounds a request.
const maxGoogleBody = 4 << 20

// invalid is the error for a request that makes no sense.
func invalid(format string, args ...any) *googleError {
	return refusedWith(http.StatusBadRequest, "INVALID_ARGUMENT", fmt.Sprintf(format, args...))
}

// notThere is the error for a resource that does not exist.
func notThere(name string) *googleError {
	return refusedWith(http.StatusNotFound, "NOT_FOUND", "Requested entity was not found: "+name)
}

// call is one request that has passed the first checks.
type call struct {
	id    string
	parts []string // what the path's variables stand for
	query url.Values
	body  dict
}

// ServeHTTP takes one request of a client or of an administrator's browser.
func (g *Google) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/token":
		g.token(w, r)
		return
	case r.URL.Path == "/signup":
		g.signUpPage(w, r)
		return
	}
	trouble, struck := g.strike(r.Method + " " + r.URL.Path)
	var out dict
	var ref *googleError
	if !struck || trouble.After {
		out, ref = g.take(r)
	}
	if struck {
		ref = trouble.answer()
	}
	g.mu.Lock()
	g.counts.Requests++
	if ref != nil {
		g.counts.Refused++
	}
	g.mu.Unlock()
	if ref != nil {
		ref.write(w)
		return
	}
	if fields := r.URL.Query().Get("fields"); fields != "" {
		out = partial(out, fields)
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	_ = json.NewEncoder(w).Encode(out) // the client may have hung up
}

// strike takes the first trouble that waits for such a call.
func (g *Google) strike(what string) (GoogleTrouble, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, t := range g.moods {
		if strings.Contains(what, t.Path) && (t.Path != "" || what != "POST /token") {
			g.moods = slices.Delete(g.moods, i, i+1)
			return t, true
		}
	}
	return GoogleTrouble{}, false
}

// usualStatus is Google's word for a status code.
var usualStatus = map[int]string{400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL",
	502: "UNAVAILABLE", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}

func (t GoogleTrouble) answer() *googleError {
	e := refusedWith(t.Status, t.Reason, "Trouble as ordered.")
	if e.status == "" {
		e.status = usualStatus[t.Status]
	}
	if t.Status == http.StatusTooManyRequests {
		e.message = "Quota exceeded for quota metric 'Requests' and limit 'Requests per 100 seconds'."
	}
	if e.retry = t.RetryAfter; e.retry > 0 {
		e.details = []any{dict{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": fmt.Sprintf("%ds", t.RetryAfter)}}
	}
	if t.HTML {
		e.html = "<!DOCTYPE html><html lang=en><title>Error " + fmt.Sprint(t.Status) + "</title><p>The server encountered a temporary error.</html>"
	}
	return e
}

// take does what a request asks.
func (g *Google) take(r *http.Request) (dict, *googleError) {
	pubsub := strings.HasPrefix(r.URL.Path, "/v1/projects/")
	if ref := g.admit(r, pubsub); ref != nil {
		return nil, ref
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, maxGoogleBody+1))
	if err != nil || len(b) > maxGoogleBody {
		return nil, refusedWith(http.StatusRequestEntityTooLarge, "INVALID_ARGUMENT", "Request payload size exceeds the limit.")
	}
	var body dict
	if len(strings.TrimSpace(string(b))) > 0 {
		if t, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); t != "application/json" {
			return nil, invalid("The content type %q is not application/json.", t)
		}
		d := json.NewDecoder(strings.NewReader(string(b)))
		d.UseNumber()
		if err := d.Decode(&body); err != nil || d.More() {
			return nil, invalid("Invalid JSON payload received. %v", err)
		}
	}
	if pubsub {
		return g.pubsub(r, body)
	}
	m, parts, ref := route(r)
	if ref != nil {
		return nil, ref
	}
	if ref := checkQuery(m, r.URL.Query()); ref != nil {
		return nil, ref
	}
	if m.request == "" && len(body) > 0 {
		return nil, invalid("%s takes no body.", m.id)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counts.Methods[m.id]++
	if m.request != "" {
		root := snake(strings.ToLower(m.request[:1]) + m.request[1:])
		bad, old := googleSpec().checkBody(m.request, root, body)
		if len(bad) > 0 {
			return nil, violations(bad)
		}
		for _, f := range old {
			g.complain("a request uses the deprecated field %s", f)
		}
	}
	handler, there := googleMethods()[m.id]
	if !there {
		return nil, refusedWith(http.StatusNotImplemented, "UNIMPLEMENTED", "The stand-in does not play "+m.id+".")
	}
	out, ref := handler(g, &call{id: m.id, parts: parts, query: r.URL.Query(), body: body})
	if ref == nil && g.cond.Oddities && out != nil {
		out = maps.Clone(out)
		out["fieldOfTomorrow"] = dict{"word": "WORD_OF_TOMORROW"}
	}
	return out, ref
}

// route finds the method that a request means.
func route(r *http.Request) (apiMethod, []string, *googleError) {
	otherVerb := false
	for _, m := range googleSpec().methods {
		parts := m.path.FindStringSubmatch(r.URL.Path)
		if parts == nil {
			continue
		}
		if m.verb == r.Method {
			return m, parts[1:], nil
		}
		otherVerb = true
	}
	e := refusedWith(http.StatusNotFound, "", "")
	if otherVerb {
		e.code = http.StatusMethodNotAllowed
	}
	e.html = "<!DOCTYPE html><html lang=en><title>Error</title><p>The requested URL was not found on this server.</html>"
	return apiMethod{}, nil, e
}

func checkQuery(m apiMethod, q url.Values) *googleError {
	for _, name := range slices.Sorted(maps.Keys(q)) {
		t, known := m.query[name]
		if !known {
			if t, known = standardQuery[name]; !known {
				return violations([]apiViolation{{"", fmt.Sprintf("Invalid JSON payload received. Unknown name %q: Cannot bind query parameter. Field '%s' could not be found in request message.", name, name)}})
			}
		}
		if len(q[name]) > 1 && t.kind != "list" {
			return invalid("The query parameter %q came more than once.", name)
		}
		for _, v := range q[name] {
			if !t.queryValue(v) {
				return violations([]apiViolation{{name, fmt.Sprintf("Invalid value at '%s' (%s), %q", name, t.kind, v)}})
			}
		}
	}
	return nil
}

// partial cuts an answer down to the fields that the caller asked for, such as devices(name,policyName),nextPageToken.
func partial(v dict, fields string) dict {
	out := dict{}
	for _, f := range splitFields(fields) {
		name, rest := f, ""
		if i := strings.IndexAny(f, "(/"); i >= 0 {
			name, rest = f[:i], f[i+1:]
			if f[i] == '(' {
				rest = strings.TrimSuffix(rest, ")")
			}
		}
		x, there := v[name]
		if name == "*" {
			return v
		}
		if !there {
			continue
		}
		if rest != "" {
			x = partialValue(x, rest)
		}
		out[name] = x
	}
	return out
}

func partialValue(x any, fields string) any {
	switch x := x.(type) {
	case dict:
		return partial(x, fields)
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = partialValue(e, fields)
		}
		return out
	}
	return x
}

// splitFields splits at commas outside parentheses.
func splitFields(s string) []string {
	var out []string
	depth, from := 0, 0
	for i, r := range s {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth--
		case r == ',' && depth == 0:
			out = append(out, s[from:i])
			from = i + 1
		}
	}
	return append(out, s[from:])
}
