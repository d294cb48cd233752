package fleet

import "slices"

// need returns ErrForbidden unless the actor holds the permission.
func need(a Actor, p Permission) error {
	if a.May(p) {
		return nil
	}
	return Refuse(ErrForbidden, "forbidden", "permission", string(p))
}

// needWhole is need for what concerns the whole house, such as its connections and the certificates that everything hangs by: no scope divides
// them, so that a scoped administrator who could change them would act on every device.
func needWhole(a Actor, p Permission) error {
	if a.MayWhole(p) {
		return nil
	}
	return Refuse(ErrForbidden, "forbidden", "permission", string(p))
}

// sees says whether something with these tags lies within the actor's scope: the one place where scope tags are checked. An
// actor with AllTags sees all; another sees what shares a tag with him, and what has no tag at all only if he has none either.
func sees(a Actor, tags []Tag) bool {
	if a.AllTags {
		return true
	}
	if len(tags) == 0 {
		return len(a.Tags) == 0 && a.Kind != ""
	}
	return slices.ContainsFunc(tags, func(t Tag) bool { return slices.Contains(a.Tags, t) })
}

// tagsFor are the tags of what the actor makes without naming any: what a scoped administrator makes lies within his scope.
func tagsFor(a Actor) []Tag {
	if a.AllTags {
		return nil
	}
	return sortedTags(a.Tags)
}

// Job is the actor of a named background job: it may do everything, and the audit log names it.
func Job(name string) Actor {
	return Actor{Kind: ActorJob, ID: name, Name: name, Via: "job", Permissions: allPermissions(), AllTags: true}
}

// allPermissions is every permission there is.
func allPermissions() map[Permission]bool {
	m := make(map[Permission]bool, len(AllPermissions))
	for _, p := range AllPermissions {
		m[p] = true
	}
	return m
}

// AllPermissions in the order of the UI.
var AllPermissions = []Permission{
	DevicesRead, DevicesEdit, DevicesLock, DevicesQuery, DevicesRetire, DevicesWipe, DevicesDelete,
	PeopleRead, PeopleEdit, GroupsEdit, InviteWrite,
	ProfilesRead, ProfilesEdit, ProfilesCustom, ProfilesAssign,
	CertsRead, CertsRevoke, TermsEdit, AuditRead, AuditExport,
	AdminsEdit, TokensEdit, SettingsRead, SettingsEdit, PrivacyRead,
}
