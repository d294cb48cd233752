package sim

import (
	_ "embed"
	"regexp"
	"strings"
	"sync"
)

//go:embed google_schema.txt
var googleSchemaText string

// apiType is the type of a field or parameter in Google's discovery document.
type apiType struct {
	kind  string   // string, bool, int32, int64, uint64, float, double, duration, time, mask, bytes, any, enum, list, map, ref
	elem  *apiType // of a list or a map
	ref   string   // the schema's name
	words []string // of an enum
}

// apiField is one field of a schema.
type apiField struct {
	apiType
	out, old bool // output-only; deprecated
}

// apiMethod is one method of the API.
type apiMethod struct {
	id, verb, request, response string
	path                        *regexp.Regexp
	query                       map[string]apiType
}

// apiSpec is what the stand-in knows of the API.
type apiSpec struct {
	methods []apiMethod
	schemas map[string]map[string]apiField
}

var googleSpec = sync.OnceValue(func() *apiSpec {
	s := &apiSpec{schemas: map[string]map[string]apiField{}}
	var fields map[string]apiField
	for line := range strings.Lines(googleSchemaText) {
		w := strings.Fields(line)
		switch {
		case len(w) == 0 || w[0] == "#":
		case w[0] == "method" && len(w) >= 6:
			m := apiMethod{id: w[1], verb: w[2], request: strings.TrimPrefix(w[4], "-"), response: w[5], query: map[string]apiType{}}
			pattern := regexp.MustCompile(`\\\{[A-Za-z]+\\\}`).ReplaceAllString(regexp.QuoteMeta("/"+w[3]), `([^/:]+)`)
			m.path = regexp.MustCompile("^" + pattern + "$")
			for _, q := range w[6:] {
				name, kind, _ := strings.Cut(q, ":")
				m.query[name] = parseAPIType(kind)
			}
			s.methods = append(s.methods, m)
		case w[0] == "schema" && len(w) == 2:
			fields = map[string]apiField{}
			s.schemas[w[1]] = fields
		default:
			f := apiField{apiType: parseAPIType(w[1])}
			for _, flag := range w[2:] {
				f.out, f.old = f.out || flag == "out", f.old || flag == "old"
			}
			fields[w[0]] = f
		}
	}
	return s
})

func parseAPIType(s string) apiType {
	switch {
	case strings.HasPrefix(s, "[]"):
		e := parseAPIType(s[2:])
		return apiType{kind: "list", elem: &e}
	case strings.HasPrefix(s, "{}"):
		e := parseAPIType(s[2:])
		return apiType{kind: "map", elem: &e}
	case strings.HasPrefix(s, "enum:"):
		return apiType{kind: "enum", words: strings.Split(s[5:], "|")}
	case s[0] >= 'A' && s[0] <= 'Z':
		return apiType{kind: "ref", ref: s}
	}
	return apiType{kind: s}
}

// standardQuery are the parameters that every method of the API takes.
var standardQuery = map[string]apiType{"alt": {kind: "enum", words: []string{"json"}}, "fields": {kind: "string"}, "key": {kind: "string"}, "prettyPrint": {kind: "bool"}, "quotaUser": {kind: "string"}}

// outputOnlyByText are fields that the discovery document calls read-only in prose alone. A request that carries one is refused.
var outputOnlyByText = map[string][]string{
	"EnrollmentToken": {"name", "value", "qrCode", "expirationTimestamp"}, "SigninDetail": {"qrCode", "signinEnrollmentToken"}, "WebToken": {"name", "value"},
	"WebApp": {"name", "versionCode"}, "Command": {"createTime", "userName", "errorCode"}, "Policy": {"version"},
}
