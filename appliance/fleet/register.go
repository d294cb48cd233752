package fleet

import "time"

// FactKey names a declared fact.
type FactKey string

// Category of stored data (D1).
type Category string

// FactDeclaration says of one fact what it is, from whom it may be taken and why (D1). What is not declared cannot
// be stored.
type FactDeclaration struct {
	Key       FactKey
	Category  Category
	Required  bool
	Platforms []Platform
	Ownership []Ownership // from which ownership it may be taken
	Switch    string      // settings switch that must be on as well, and named in the accepted terms; "" = none
	Kind      string      // text, number, bytes, bool, time, list
	Why       string      // word key of the reason
}

// Fact is one stored fact.
type Fact struct {
	Key   FactKey   `json:"key"`
	Value any       `json:"value"`
	At    time.Time `json:"at"`
}

// Declarations returns the register: every fact about devices, people and administrators.
func Declarations() []FactDeclaration { panic("unbuilt") }

// Allowed says whether a fact may be taken from a target with these switches on.
func Allowed(k FactKey, t Target, switches map[string]bool) bool { panic("unbuilt") }
