package ui

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"muster/appliance/fleet"
)

// How the log's details are told: an entry holds fields as the domain stores them, and an administrator is told neither "retiring" nor a span
// of time in nanoseconds.

// auditCodes are the fields that hold codes, and where the words of the codes stand: in the first place that has them.
var auditCodes = map[string]string{
	"state": "word.state", "ownership": "word.ownership", "mode": "word.mode", "action": "word.action", "permissions": "word.permission",
	"platform": "system", "platforms": "system", "type": "type", "role": "role", "theme": "prefs.theme", "to": "assign", "verb": "audit.verb",
	"cause": "audit.value.cause", "what": "evidence", "kind": "stale.kind group.kind",
}

// auditChanges lists the fields that differ, or all of them where only one side is known. Where a thing is new, what it lacks is no news, and
// its own id is said nowhere: the entry links to it.
func (q *Request) auditChanges(r *fleet.AuditRecord, names *auditNames) ([]auditChange, bool) {
	before, isMap := fieldsOf(r.Before)
	after, alsoMap := fieldsOf(r.After)
	both := len(before) > 0 && len(after) > 0
	if r.Verb == "assign" || r.Verb == "unassign" {
		c := auditChange{Field: q.T("audit.assigned"), Before: names.bits(q.auditAssignments(r.Before)), After: names.bits(q.auditAssignments(r.After))}
		return []auditChange{c}, len(c.Before) > 0
	}
	if !isMap || !alsoMap {
		return []auditChange{{Field: q.T("audit.field"), Before: names.bits(q.auditValue("", r.Before)), After: names.bits(q.auditValue("", r.After))}}, both
	}
	var out []auditChange
	for _, name := range namesOf(before, after) {
		if name == "version" || name == "id" || (both && bytes.Equal(before[name], after[name])) {
			continue
		}
		if _, was := before[name]; !was && bytes.Equal(after[name], []byte("false")) {
			continue
		}
		c := auditChange{Field: q.auditField(name), Before: names.bits(q.auditValue(name, before[name])), After: names.bits(q.auditValue(name, after[name]))}
		if len(c.Before)+len(c.After) > 0 {
			out = append(out, c)
		}
	}
	return out, both
}

// auditAssignments writes to whom a profile is assigned, one a line; groups by their ids.
func (q *Request) auditAssignments(raw json.RawMessage) string {
	var list []fleet.Assignment
	if len(raw) > 0 && json.Unmarshal(raw, &list) != nil {
		return prettyJSON(raw)
	}
	var out []string
	for _, a := range list {
		to := string(a.Group)
		if key := "assign." + a.To; a.Group == "" && q.Words.Has(key) {
			to = q.T(key)
		}
		if a.Exclude {
			to = q.T("audit.excluded", "to", to)
		}
		out = append(out, to)
	}
	return strings.Join(out, "\n")
}

// auditField names a field; one without words is shown as it is stored.
func (q *Request) auditField(name string) string {
	if key := "audit.field." + name; q.Words.Has(key) {
		return q.T(key)
	}
	return name
}

func namesOf(sides ...map[string]json.RawMessage) []string {
	var names []string
	for _, side := range sides {
		for name := range side {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// fieldsOf reads an object's fields; false when it is something else. Nothing at all counts as an object without fields.
func fieldsOf(raw json.RawMessage) (map[string]json.RawMessage, bool) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, true
	}
	var m map[string]json.RawMessage
	err := json.Unmarshal(raw, &m)
	return m, err == nil
}

// auditValue writes the value of a field for people; "" for nothing.
func (q *Request) auditValue(field string, raw json.RawMessage) string {
	var v any
	if len(raw) == 0 || json.Unmarshal(raw, &v) != nil {
		return ""
	}
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return q.auditText(field, v)
	case bool:
		if v {
			return q.T("words.yes")
		}
		return q.T("words.no")
	case float64:
		if field == "facts_every" || field == "renew_before" {
			return q.Words.Duration(time.Duration(v))
		}
		if v == float64(int64(v)) {
			return q.Words.Number(int64(v))
		}
	case map[string]any:
		if _, ok := v["message"].(string); ok && field == "evidence" {
			return q.auditEvidence(raw)
		}
		return q.auditParts(raw, "\n")
	case []any:
		return q.auditList(field, raw)
	}
	return prettyJSON(raw)
}

func (q *Request) auditText(field, v string) string {
	if v == "(hidden)" {
		return q.T("audit.hidden")
	}
	for _, prefix := range strings.Fields(auditCodes[field]) {
		if key := prefix + "." + v; q.Words.Has(key) {
			return capital(q.T(key))
		}
	}
	if field == "language" && v != "" {
		return capital(q.saysLanguage(v))
	}
	if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
		return q.Words.DateTime(t.Local())
	}
	return v
}

// auditEvidence tells a proof in one phrase: how it is known, when, and by which message.
func (q *Request) auditEvidence(raw json.RawMessage) string {
	var e fleet.Evidence
	if json.Unmarshal(raw, &e) != nil {
		return prettyJSON(raw)
	}
	var out []string
	for _, v := range q.evidence(e) {
		out = append(out, v.What, q.Words.DateTime(e.At.Local()))
		if e.Message != "" {
			out = append(out, q.T("audit.part", "name", q.T("audit.field.message"), "value", e.Message))
		}
	}
	return strings.Join(out, "\n")
}

// auditParts writes the fields of an object, "name: value", and leaves out those that hold nothing.
func (q *Request) auditParts(raw json.RawMessage, between string) string {
	fields, ok := fieldsOf(raw)
	if !ok {
		return prettyJSON(raw)
	}
	var out []string
	for _, name := range namesOf(fields) {
		if value := q.auditValue(name, fields[name]); value != "" {
			out = append(out, q.T("audit.part", "name", q.auditField(name), "value", value))
		}
	}
	return strings.Join(out, between)
}

// auditList writes texts in a row, and objects one a line.
func (q *Request) auditList(field string, raw json.RawMessage) string {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		return prettyJSON(raw)
	}
	var out []string
	between := ", "
	for _, x := range list {
		if m, ok := fieldsOf(x); ok && m != nil {
			between = "\n"
			out = append(out, q.auditParts(x, ", "))
			continue
		}
		out = append(out, q.auditValue(field, x))
	}
	return strings.Join(out, between)
}
