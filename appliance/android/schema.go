package android

import (
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// discoveryText is what the Android Management API says of the bodies that it takes: a shortened copy of Google's discovery document, see
// LICENSE.discovery. A fragment of a policy that an administrator writes is held against it before it is saved, and tests hold everything
// that this package can send against it.
//
//go:embed discovery.json
var discoveryText []byte

// property of a schema.
type property struct {
	Ref        string    `json:"$ref"`
	Type       string    `json:"type"`
	Format     string    `json:"format"`
	Enum       []string  `json:"enum"`
	ReadOnly   bool      `json:"readOnly"`
	Deprecated bool      `json:"deprecated"`
	Items      *property `json:"items"`
	Additional *property `json:"additionalProperties"`
}

type discovery struct {
	Revision string                         `json:"revision"`
	Schemas  map[string]map[string]property `json:"schemas"`
}

var schemas = sync.OnceValue(func() *discovery {
	d := new(discovery)
	if err := json.Unmarshal(discoveryText, d); err != nil {
		panic("android: discovery.json: " + err.Error()) // part of the program
	}
	return d
})

// checkBody holds a body, as encoding/json decodes it, against a schema. What is wrong is told by path. Fields that Google alone sets, words that are not
// in an enumeration, and deprecated fields are wrong.
func checkBody(schema string, body any) []string {
	c := &checker{}
	c.value("", property{Ref: schema}, body, 0)
	return c.wrong
}

type checker struct{ wrong []string }

// wrongMost is how many mistakes are told: the rest mostly follow from them.
const wrongMost = 10

func (c *checker) say(path, format string, args ...any) {
	if len(c.wrong) < wrongMost {
		if path == "" {
			path = "."
		}
		c.wrong = append(c.wrong, path+": "+fmt.Sprintf(format, args...))
	}
}

var durationForm = regexp.MustCompile(`^-?[0-9]{1,12}(\.[0-9]{1,9})?s$`)

func (c *checker) value(path string, p property, v any, depth int) {
	if depth > 30 {
		c.say(path, "too deep")
		return
	}
	if p.Ref != "" {
		fields, ok := schemas().Schemas[p.Ref]
		if !ok {
			c.say(path, "cannot be sent")
			return
		}
		in, ok := v.(map[string]any)
		if !ok {
			c.say(path, "want an object")
			return
		}
		for _, k := range slices.Sorted(maps.Keys(in)) {
			at := strings.TrimPrefix(path+"."+k, ".")
			f, known := fields[k]
			switch {
			case !known:
				c.say(at, "unknown field")
			case f.ReadOnly:
				c.say(at, "only Google sets this")
			case f.Deprecated:
				c.say(at, "deprecated")
			case in[k] != nil:
				c.value(at, f, in[k], depth+1)
			}
		}
		return
	}
	switch p.Type {
	case "object":
		in, ok := v.(map[string]any)
		if !ok {
			c.say(path, "want an object")
			return
		}
		if p.Additional == nil || p.Additional.Type == "any" {
			return
		}
		for _, k := range slices.Sorted(maps.Keys(in)) {
			c.value(path+"."+k, *p.Additional, in[k], depth+1)
		}
	case "array":
		list, ok := v.([]any)
		if !ok {
			c.say(path, "want a list")
			return
		}
		for i, x := range list {
			if p.Items != nil {
				c.value(path+"["+strconv.Itoa(i)+"]", *p.Items, x, depth+1)
			}
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			c.say(path, "want true or false")
		}
	case "integer", "number":
		n, ok := v.(float64)
		switch {
		case !ok:
			c.say(path, "want a number")
		case p.Type == "integer" && (n != math.Trunc(n) || math.Abs(n) > math.MaxInt32):
			c.say(path, "want a whole number")
		}
	case "string":
		s, ok := v.(string)
		if !ok {
			c.say(path, "want text")
			return
		}
		c.text(path, p, s)
	}
}

func (c *checker) text(path string, p property, s string) {
	if len(p.Enum) > 0 {
		if !slices.Contains(p.Enum, s) || strings.HasSuffix(s, "_UNSPECIFIED") {
			c.say(path, "no such choice: %s", clip(s, 60))
		}
		return
	}
	ok := true
	switch p.Format {
	case "int64":
		_, err := strconv.ParseInt(s, 10, 64)
		ok = err == nil
	case "google-duration":
		ok = durationForm.MatchString(s)
	case "google-datetime":
		_, err := time.Parse(time.RFC3339Nano, s)
		ok = err == nil
	case "byte":
		_, err := base64.StdEncoding.DecodeString(s)
		ok = err == nil
	}
	if !ok {
		c.say(path, "not in the form %s", p.Format)
	}
}

// plainJSON is v as encoding/json reads it back: what is checked is what is sent.
func plainJSON(v any) (any, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out any
	err = json.Unmarshal(b, &out)
	return out, err
}
