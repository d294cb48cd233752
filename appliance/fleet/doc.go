// Package fleet is Muster's domain: people, groups, invitations, devices, profiles,
// assignments, the planner, actions, receipts, roles and the audit log. It knows no
// protocol and no HTTP.
//
// Two things are kept for each device: what is wanted of it (computed from its
// assignments and its lifecycle target) and what it has reported. At every contact the
// planner compares the two and hands out the next step; when nothing differs, the
// exchange ends. Assigning, editing, unassigning, retiring and deleting are therefore
// one mechanism: they change what is wanted.
//
// Every method takes an Actor after the context; the zero Actor may do nothing. Roles
// and scope tags are checked here and nowhere else; what lies outside one's scope is
// "not found". Nobody writes sentences here: statuses, warnings and refusals are Reason
// values, which ui/words turns into English or Dutch.
package fleet
