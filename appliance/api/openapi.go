package api

import (
	"encoding/json"
	"reflect"
	"strconv"
	"strings"

	"muster/appliance/fleet"
	"time"
)

// openAPI writes the OpenAPI 3.1 document from the table of routes.
func (s *server) openAPI() []byte {
	schemas := map[string]any{"Problem": schemaOf(reflect.TypeFor[problem](), map[string]any{})}
	paths := map[string]map[string]any{}
	for _, rt := range routes {
		if paths[rt.Path] == nil {
			paths[rt.Path] = map[string]any{}
		}
		paths[rt.Path][strings.ToLower(rt.Method)] = operation(rt, schemas)
	}
	doc := map[string]any{
		"openapi":    "3.1.0",
		"info":       map[string]any{"title": "Muster", "version": s.Version, "description": "Everything that the web pages do. Errors are application/problem+json; lists page by cursor; a POST may carry an Idempotency-Key."},
		"servers":    []any{map[string]any{"url": s.URL + prefix}},
		"paths":      paths,
		"components": map[string]any{"schemas": schemas, "securitySchemes": map[string]any{"token": map[string]any{"type": "http", "scheme": "bearer"}}},
		"security":   []any{map[string]any{"token": []any{}}},
	}
	b, err := json.MarshalIndent(doc, "", " ")
	if err != nil {
		panic(err) // the table is made of plain values
	}
	return b
}

func operation(rt route, schemas map[string]any) map[string]any {
	op := map[string]any{"summary": rt.Summary, "tags": []any{rt.Tag}, "operationId": operationID(rt)}
	var params []any
	for _, part := range strings.Split(rt.Path, "/") {
		if strings.HasPrefix(part, "{") {
			params = append(params, map[string]any{"name": strings.Trim(part, "{}"), "in": "path", "required": true, "schema": map[string]any{"type": "string"}})
		}
	}
	query := rt.Query
	if rt.Paged {
		query = append([]string{"q", "cursor", "limit", "reverse"}, query...)
	}
	for _, name := range query {
		params = append(params, map[string]any{"name": name, "in": "query", "schema": map[string]any{"type": "string"}})
	}
	if rt.Method == "POST" {
		params = append(params, map[string]any{"name": "Idempotency-Key", "in": "header", "schema": map[string]any{"type": "string", "maxLength": 200}})
	}
	if params != nil {
		op["parameters"] = params
	}
	if rt.In != nil {
		op["requestBody"] = map[string]any{"required": true, "content": content("application/json", schemaOf(reflect.TypeOf(rt.In), schemas))}
	}
	status, answer := rt.Status, map[string]any{"description": "Done"}
	switch {
	case rt.Raw != nil:
		status, answer["content"] = 200, content("application/x-ndjson", map[string]any{"type": "string"})
	case rt.Out == nil:
		status = 204
	default:
		answer["content"] = content("application/json", schemaOf(reflect.TypeOf(rt.Out), schemas))
		if status == 0 {
			status = 200
		}
	}
	op["responses"] = map[string]any{
		strconv.Itoa(status): answer,
		"default":            map[string]any{"description": "Refused; the body says why", "content": content("application/problem+json", ref("Problem"))},
	}
	return op
}

func content(kind string, schema any) map[string]any {
	return map[string]any{kind: map[string]any{"schema": schema}}
}

func ref(name string) map[string]any { return map[string]any{"$ref": "#/components/schemas/" + name} }

// operationID is the method and the path in camel case: getDevicesIdActions.
func operationID(rt route) string {
	id := strings.ToLower(rt.Method)
	for _, w := range strings.FieldsFunc(rt.Path, func(r rune) bool { return strings.ContainsRune("/{}-_", r) }) {
		id += strings.ToUpper(w[:1]) + w[1:]
	}
	return id
}

// choices are the values that a named string may have, so that a caller need not guess them.
var choices = map[reflect.Type]any{
	reflect.TypeFor[fleet.Platform]():    []fleet.Platform{fleet.IOS, fleet.IPadOS, fleet.MacOS, fleet.Windows, fleet.Android},
	reflect.TypeFor[fleet.Mode]():        []fleet.Mode{fleet.ModeDevice, fleet.ModeWorkProfile, fleet.ModeCompanyWorkProfile, fleet.ModeFullyManaged, fleet.ModeKiosk},
	reflect.TypeFor[fleet.Ownership]():   []fleet.Ownership{fleet.Personal, fleet.Corporate},
	reflect.TypeFor[fleet.ProfileType](): profileTypes(),
	reflect.TypeFor[fleet.ActionType]():  []fleet.ActionType{fleet.ActRetire, fleet.ActWipe, fleet.ActDelete, fleet.ActLock, fleet.ActClearPasscode, fleet.ActClearApp, fleet.ActRestart, fleet.ActSync, fleet.ActQuery},
	reflect.TypeFor[fleet.ProfileStatusCode](): []fleet.ProfileStatusCode{fleet.StatusPending, fleet.StatusSucceeded, fleet.StatusError, fleet.StatusConflict,
		fleet.StatusNotApplicable, fleet.StatusWaitsPerson, fleet.StatusRemoving, fleet.StatusRemoved},
}

func profileTypes() []fleet.ProfileType {
	var out []fleet.ProfileType
	for _, d := range fleet.ProfileTypes() {
		out = append(out, d.Type)
	}
	return out
}

// schemaOf describes a Go type as JSON Schema, the way encoding/json writes it. Named structs become components.
func schemaOf(t reflect.Type, schemas map[string]any) any {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}
	case t == reflect.TypeFor[time.Duration]():
		return map[string]any{"type": "integer", "description": "nanoseconds"}
	case t == reflect.TypeFor[fleet.Span]():
		return map[string]any{"type": "string", "pattern": "^[1-9][0-9]*[dhms]$", "description": "a number of days, hours, minutes or seconds"}
	case choices[t] != nil:
		return map[string]any{"type": "string", "enum": choices[t]}
	case t == reflect.TypeFor[json.RawMessage]():
		return map[string]any{}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem(), schemas)
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return map[string]any{"type": "integer"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return map[string]any{"type": "string", "contentEncoding": "base64"}
		}
		return map[string]any{"type": "array", "items": schemaOf(t.Elem(), schemas)}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem(), schemas)}
	case reflect.Struct:
		return structSchema(t, schemas)
	}
	return map[string]any{}
}

func structSchema(t reflect.Type, schemas map[string]any) any {
	name := schemaName(t)
	if _, known := schemas[name]; known {
		return ref(name)
	}
	schemas[name] = map[string]any{} // breaks a cycle
	properties := map[string]any{}
	var required []string
	for _, f := range reflect.VisibleFields(t) {
		tag := f.Tag.Get("json")
		if tag == "-" || f.Anonymous || !f.IsExported() || f.Type.Kind() == reflect.Func {
			continue
		}
		key, options, _ := strings.Cut(tag, ",")
		if key == "" {
			key = f.Name
		}
		properties[key] = schemaOf(f.Type, schemas)
		if !strings.Contains(options, "omit") {
			required = append(required, key)
		}
	}
	schema := map[string]any{"type": "object", "properties": properties}
	if required != nil {
		schema["required"] = required
	}
	schemas[name] = schema
	return ref(name)
}

// schemaName turns a Go type name into a component name: page[muster/…/fleet.Device] becomes PageOfDevice.
func schemaName(t reflect.Type) string {
	name, arg, generic := strings.Cut(t.Name(), "[")
	name = strings.TrimSuffix(name, "View")
	name = strings.ToUpper(name[:1]) + name[1:]
	if generic {
		arg = strings.TrimSuffix(arg, "]")
		arg = arg[strings.LastIndexAny(arg, "./")+1:]
		arg = strings.TrimSuffix(arg, "View")
		name += "Of" + strings.ToUpper(arg[:1]) + arg[1:]
	}
	return name
}
