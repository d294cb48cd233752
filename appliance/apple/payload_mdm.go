package apple

import "muster/appliance/fleet"

// mdmPayload puts a device under management (com.apple.mdm).
type mdmPayload struct {
	header
	IdentityCertificateUUID string
	Topic                   string
	ServerURL               string
	CheckInURL              string
	SignMessage             bool
	AccessRights            int
	CheckOutWhenRemoved     bool
	ServerCapabilities      []string
}

// Access rights (com.apple.mdm, AccessRights). The person is shown them before installing; they can be narrowed later, never widened.
const (
	rightsAll   = 8191
	rightErase  = 8
	rightApps   = 256 // to list all apps, the person's own among them
	rightsOwned = rightsAll
	rightsBYOD  = rightsAll - rightErase - rightApps
)

// rightsFor keeps from the organisation what it must not do with somebody's own device: erase it, and look at its apps.
func rightsFor(o fleet.Ownership) int {
	if o == fleet.Corporate {
		return rightsOwned
	}
	return rightsBYOD
}

// capabilitiesFor: per-user connections from the first day, for they can never be added. A Mac hands over its bootstrap token
// only where it is the organisation's.
func capabilitiesFor(o fleet.Ownership) []string {
	c := []string{"com.apple.mdm.per-user-connections"}
	if o == fleet.Corporate {
		c = append(c, "com.apple.mdm.bootstraptoken")
	}
	return c
}
