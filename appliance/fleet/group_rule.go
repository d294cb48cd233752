package fleet

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"muster/store"
)

// Fields that a rule's conditions may compare.
var (
	personFields = []string{"name", "mail", "upn", "mail-domain", "language"}
	deviceFields = []string{"platform", "ownership", "model", "os-version", "name", "serial", "person-mail", "tag"}
	ruleOps      = []string{"is", "is-not", "contains", "starts", "ends", "at-least", "below"}
)

// RuleFields returns the fields that rules for a kind of group may compare.
func RuleFields(k GroupKind) []string {
	if k == DeviceGroup {
		return slices.Clone(deviceFields)
	}
	return slices.Clone(personFields)
}

// RuleOps returns the comparisons there are.
func RuleOps() []string { return slices.Clone(ruleOps) }

// checkRule says what is wrong with a rule for a kind of group.
func checkRule(k GroupKind, r *Rule, bad faults) {
	if len(r.Conditions) == 0 || len(r.Conditions) > 20 {
		bad.put("rule", "group.rule-conditions", "most", "20")
		return
	}
	for i, c := range r.Conditions {
		field := "rule." + strconv.Itoa(i)
		bad.oneOf(field, c.Field, RuleFields(k))
		bad.oneOf(field, c.Op, ruleOps)
		if bad.line(field, c.Value, 1, 200) && (c.Op == "at-least" || c.Op == "below") {
			if c.Field != "os-version" {
				bad.put(field, "group.rule-version-only")
			} else if !isVersion(c.Value) {
				bad.put(field, "group.rule-version")
			}
		}
	}
}

func isVersion(s string) bool {
	for _, part := range strings.Split(s, ".") {
		if n, err := strconv.Atoi(part); err != nil || n < 0 {
			return false
		}
	}
	return true
}

// compareVersions compares dotted numbers part by part; a missing part is 0, what is no number counts by its leading digits.
func compareVersions(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(x), len(y)) {
		if d := versionPart(x, i) - versionPart(y, i); d != 0 {
			return d
		}
	}
	return 0
}

func versionPart(parts []string, i int) int {
	if i >= len(parts) {
		return 0
	}
	n := 0
	for _, r := range strings.TrimSpace(parts[i]) {
		if r < '0' || r > '9' || n > 1<<24 {
			break
		}
		n = n*10 + int(r-'0')
	}
	return n
}

// matches compares one value; "is-not" of an absent value holds, every other comparison of it fails.
func (c *Condition) matches(values ...string) bool {
	one := func(v string) bool {
		v, want := strings.ToLower(v), strings.ToLower(c.Value)
		switch c.Op {
		case "is":
			return v == want
		case "contains":
			return strings.Contains(v, want)
		case "starts":
			return strings.HasPrefix(v, want)
		case "ends":
			return strings.HasSuffix(v, want)
		case "at-least":
			return v != "" && compareVersions(v, want) >= 0
		case "below":
			return v != "" && compareVersions(v, want) < 0
		}
		return false
	}
	if c.Op == "is-not" {
		return !slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, c.Value) })
	}
	return slices.ContainsFunc(values, one)
}

// matchesPerson says whether a person fulfils the rule.
func (r *Rule) matchesPerson(p *Person) bool {
	return r.holds(func(c *Condition) bool {
		switch c.Field {
		case "name":
			return c.matches(p.Name)
		case "mail":
			return c.matches(p.Mail)
		case "upn":
			return c.matches(p.UPN)
		case "mail-domain":
			return c.matches(domainOf(p.Mail))
		case "language":
			return c.matches(p.Language)
		}
		return false
	})
}

// matchesDevice says whether a device, with its person's mail address, fulfils the rule.
func (r *Rule) matchesDevice(d *Device, mail string) bool {
	return r.holds(func(c *Condition) bool {
		switch c.Field {
		case "platform":
			return c.matches(string(d.Platform))
		case "ownership":
			return c.matches(string(d.Ownership))
		case "model":
			return c.matches(d.Model)
		case "os-version":
			return c.matches(d.OSVersion)
		case "name":
			return c.matches(d.Name)
		case "serial":
			return c.matches(d.Serial)
		case "person-mail":
			return c.matches(mail)
		case "tag":
			tags := make([]string, len(d.Tags))
			for i, t := range d.Tags {
				tags[i] = string(t)
			}
			return c.matches(tags...)
		}
		return false
	})
}

func (r *Rule) holds(one func(*Condition) bool) bool {
	for i := range r.Conditions {
		if one(&r.Conditions[i]) == r.Any {
			return r.Any
		}
	}
	return !r.Any && len(r.Conditions) > 0
}

// needsPerson says whether a device rule looks at the device's person.
func (r *Rule) needsPerson() bool {
	return slices.ContainsFunc(r.Conditions, func(c Condition) bool { return c.Field == "person-mail" })
}

func domainOf(mail string) string {
	_, domain, _ := strings.Cut(mail, "@")
	return domain
}

// cachedRules are the groups that have a rule, under the name that their state has in the store.
type cachedRules struct {
	state   string
	people  []*Group
	devices []*Group
}

// ruleGroups returns the groups with a rule as this transaction sees them, read anew only when one has changed.
func (f *Fleet) ruleGroups(tx store.Tx) (*cachedRules, error) {
	state, err := tx.Get(keyRules)
	if errors.Is(err, store.ErrNotFound) {
		return &cachedRules{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	if c := f.org.rules.Load(); c != nil && c.state == string(state) {
		return c, nil
	}
	var kept struct{ Groups []GroupID }
	if err := json.Unmarshal(state, &kept); err != nil {
		return nil, fmt.Errorf("read rules: %w", err)
	}
	c := &cachedRules{state: string(state)}
	for _, id := range kept.Groups {
		g, err := groups.Get(tx, string(id))
		if err != nil {
			return nil, fmt.Errorf("read group %s: %w", id, err)
		}
		if g.Kind == DeviceGroup {
			c.devices = append(c.devices, g)
		} else {
			c.people = append(c.people, g)
		}
	}
	f.org.rules.Store(c)
	return c, nil
}

// maxRuleGroups bounds what every evaluation walks.
const maxRuleGroups = 500

// noteRule keeps the list of groups that have a rule; a new mark in it makes every cached copy old.
func (f *Fleet) noteRule(tx store.Tx, id GroupID, has bool) error {
	var kept struct {
		Mark   string
		Groups []GroupID
	}
	state, err := tx.Get(keyRules)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("read rules: %w", err)
	}
	if state != nil {
		if err := json.Unmarshal(state, &kept); err != nil {
			return fmt.Errorf("read rules: %w", err)
		}
	}
	was := slices.Contains(kept.Groups, id)
	if !was && !has {
		return nil
	}
	if was && !has {
		kept.Groups = slices.DeleteFunc(kept.Groups, func(g GroupID) bool { return g == id })
	}
	if has && !was {
		if len(kept.Groups) >= maxRuleGroups {
			return Refuse(ErrConflict, "group.too-many-rules", "most", strconv.Itoa(maxRuleGroups))
		}
		kept.Groups = append(kept.Groups, id)
	}
	kept.Mark = store.NewID()
	b, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	return tx.Put(keyRules, b)
}

// groupsOf returns the groups that a person and a device are in, static and by rule. Either may be nil.
func (f *Fleet) groupsOf(tx store.Tx, p *Person, d *Device) (map[GroupID]bool, error) {
	in := map[GroupID]bool{}
	static := func(member string) error {
		return memberships.Each(tx, store.Query{Index: "member", Value: member}, func(m *membership) (bool, error) {
			in[m.Group] = true
			return true, nil
		})
	}
	rules, err := f.ruleGroups(tx)
	if err != nil {
		return nil, err
	}
	if p != nil {
		if err := static(string(p.ID)); err != nil {
			return nil, fmt.Errorf("groups of person: %w", err)
		}
		for _, g := range rules.people {
			if g.Rule.matchesPerson(p) {
				in[g.ID] = true
			}
		}
	}
	if d == nil {
		return in, nil
	}
	if err := static(string(d.ID)); err != nil {
		return nil, fmt.Errorf("groups of device: %w", err)
	}
	for _, g := range rules.devices {
		mail := ""
		if g.Rule.needsPerson() {
			if mail, err = mailOf(tx, p, d); err != nil {
				return nil, err
			}
		}
		if g.Rule.matchesDevice(d, mail) {
			in[g.ID] = true
		}
	}
	return in, nil
}

// mailOf is the address of a device's person, "" without one.
func mailOf(tx store.Tx, p *Person, d *Device) (string, error) {
	if d.Person == "" {
		return "", nil
	}
	if p != nil && p.ID == d.Person {
		return p.Mail, nil
	}
	q, err := people.Get(tx, string(d.Person))
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("person of device: %w", err)
	}
	return q.Mail, nil
}
