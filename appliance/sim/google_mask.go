package sim

import (
	"encoding/json"
	"maps"
	"strconv"
	"strings"
)

// masked returns what a resource becomes by a patch: the fields that the mask names are taken from the body or cleared; without a
// mask the body replaces the whole. Names and output-only fields stay out of it.
func masked(schema string, old, body dict, mask string) (dict, *googleError) {
	body = maps.Clone(body)
	delete(body, "name")
	for k, v := range body {
		if v == nil {
			delete(body, k)
		}
	}
	if mask == "" {
		if body == nil {
			body = dict{}
		}
		return body, nil
	}
	next := clone(old)
	for path := range strings.SplitSeq(mask, ",") {
		if !googleSpec().hasPath(schema, path) {
			return nil, violations([]apiViolation{{"update_mask", "Invalid field mask path: " + path}})
		}
		copyPath(next, body, strings.Split(path, "."))
	}
	return next, nil
}

// hasPath reports whether a schema has a field of that path.
func (s *apiSpec) hasPath(schema, path string) bool {
	name, rest, deeper := strings.Cut(path, ".")
	f, there := s.schemas[schema][name]
	if !there || !deeper {
		return there && !f.out
	}
	switch f.kind {
	case "ref":
		return s.hasPath(f.ref, rest)
	case "map", "any":
		return true
	}
	return false
}

func copyPath(to, from dict, path []string) {
	v, there := from[path[0]]
	if len(path) == 1 {
		if there {
			to[path[0]] = v
		} else {
			delete(to, path[0])
		}
		return
	}
	inner, _ := v.(dict)
	into, ok := to[path[0]].(dict)
	if !ok {
		if inner == nil {
			return
		}
		into = dict{}
		to[path[0]] = into
	}
	copyPath(into, inner, path[1:])
}

// clone copies what was read from JSON.
func clone(v dict) dict {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // it came from JSON
	}
	out := dict{}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		panic(err)
	}
	if out == nil {
		out = dict{}
	}
	return out
}

// same reports whether two documents say the same.
func same(a, b dict) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// pageOf cuts one page out of a list. A page token is bound to the list's name and the page's size.
func pageOf(c *call, name string, all []dict, usual, most int) (dict, *googleError) {
	size := usual
	if s := c.query.Get("pageSize"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return nil, invalid("page_size must not be negative.")
		}
		if n > 0 {
			size = min(n, most)
		}
	}
	from := 0
	if t := c.query.Get("pageToken"); t != "" {
		bound, at, ok := strings.Cut(t, "~")
		n, err := strconv.Atoi(at)
		if !ok || err != nil || bound != name+strconv.Itoa(size) || n > len(all) {
			return nil, invalid("The page token is invalid.")
		}
		from = n
	}
	out := dict{}
	var list []any
	for _, v := range all[from:min(from+size, len(all))] {
		list = append(list, v)
	}
	if len(list) > 0 {
		out[name] = list
	}
	if from+size < len(all) {
		out["nextPageToken"] = name + strconv.Itoa(size) + "~" + strconv.Itoa(from+size)
	}
	return out, nil
}
