// Package store keeps every record of the appliance in one ordered key-value engine on the local disk.
//
// It knows no domain. It offers transactions over ordered keys (Tx), typed collections with indexes and
// cursor paging (Collection), sealing of secrets (Sealer), the keys file (OpenKeys) and schema migrations
// (Migrate). Everything is encrypted at rest.
//
// Writers are serialised and combined: Update hands its function to one writer, which gathers what is
// waiting into one transaction of the engine and syncs it once. So an Update returns only after its own
// changes are on the disk, and durability costs one sync for many callers. While one batch is on its way to the disk the next one runs over
// what that writes; should the disk refuse the first for want of room, the second runs again. Views share the snapshot of the last commit.
//
// Functions given to Update may run more than once and must have no effect outside their transaction; what
// must happen after the commit belongs in Tx.OnCommit. This engine runs writers one after another, so a
// count made in an Update cannot be overtaken; a stricter or a looser engine may follow, so rules that
// count still read and write a guard key.
package store
