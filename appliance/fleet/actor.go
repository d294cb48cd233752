package fleet

// ActorKind says who acts.
type ActorKind string

const (
	ActorAdmin  ActorKind = "admin"
	ActorPerson ActorKind = "person" // through an invitation or the portal
	ActorDevice ActorKind = "device"
	ActorJob    ActorKind = "job"
	ActorSetup  ActorKind = "setup" // the holder of the one-time set-up link, or the command line
)

// Actor is who acts, with what rights, from where. The zero Actor may do nothing.
type Actor struct {
	Kind        ActorKind
	ID          string    // AdminID, PersonID, DeviceID or job name
	Name        string    // for the audit log
	From        string    // source address, for the audit log
	Via         string    // "ui", "api", "cli", "protocol"
	Token       TokenID   // set when an API token acts
	Session     SessionID // set when a sign-in acts
	Permissions map[Permission]bool
	Tags        []Tag // scope; empty with AllTags false sees only untagged things
	AllTags     bool
}

// May says whether the actor holds the permission.
func (a Actor) May(p Permission) bool { return a.Permissions[p] }

// MayWhole says whether the actor holds the permission for the whole house, which nobody does whose scope is a part of it.
func (a Actor) MayWhole(p Permission) bool { return a.May(p) && a.AllTags }

// Permission is one right of a role (D7).
type Permission string

const (
	DevicesRead    Permission = "devices.read"
	DevicesEdit    Permission = "devices.edit"  // name, tags, person
	DevicesLock    Permission = "devices.lock"  // lock, restart, sync, clear passcode
	DevicesQuery   Permission = "devices.query" // ask corporate PCs for single values (D8)
	DevicesRetire  Permission = "devices.retire"
	DevicesWipe    Permission = "devices.wipe"
	DevicesDelete  Permission = "devices.delete"
	PeopleRead     Permission = "people.read"
	PeopleEdit     Permission = "people.edit"
	GroupsEdit     Permission = "groups.edit"
	InviteWrite    Permission = "invitations.edit"
	ProfilesRead   Permission = "profiles.read"
	ProfilesEdit   Permission = "profiles.edit"
	ProfilesCustom Permission = "profiles.custom" // settings in a platform's own form, besides ProfilesEdit
	ProfilesAssign Permission = "profiles.assign"
	CertsRead      Permission = "certificates.read"
	CertsRevoke    Permission = "certificates.revoke"
	TermsEdit      Permission = "terms.edit"
	AuditRead      Permission = "audit.read"
	AuditExport    Permission = "audit.export"
	AdminsEdit     Permission = "admins.edit" // administrators, roles
	TokensEdit     Permission = "tokens.edit"
	SettingsRead   Permission = "settings.read"
	SettingsEdit   Permission = "settings.edit"
	PrivacyRead    Permission = "privacy.read" // facts held about a person, exports
)
