package fleet

// State of a device's lifecycle. The table of transitions is in lifecycle_table.go.
type State string

const (
	Enrolling State = "enrolling" // the first message came, it cannot be reached yet
	Managed   State = "managed"
	Retiring  State = "retiring" // company data is to go; sticks until proved or called off
	Wiping    State = "wiping"
	Retired   State = "retired" // removal proved
	Wiped     State = "wiped"
	Left      State = "left"   // the person removed management by themselves
	Closed    State = "closed" // the door expired with removal not proved
)
