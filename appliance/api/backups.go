package api

import (
	"context"
	"net/http"
	"time"

	"muster/appliance/fleet"
)

// recoveryMade is a new recovery key with its private half, shown this once.
type recoveryMade struct {
	fleet.Recovery
	Key string `json:"key"`
}

type recoveryProof struct {
	Parts []string `json:"parts"` // the groups of the key that pending.ask names, in its order
}

type releaseBody struct {
	List string `json:"list"` // as it was given with what was looked at: by GET /restored, or by GET /rule-runs/{id}
}

type adoptBody struct {
	Person    fleet.PersonID  `json:"person,omitempty"`
	Ownership fleet.Ownership `json:"ownership,omitempty"` // not needed when the record is there and only the certificate is newer
}

var backupRoutes = []route{
	{Method: "GET", Path: "/backups", Tag: "backups", Summary: "Backups that were made, newest first", Out: page[fleet.Backup]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			all, err := c.Fleet.Backups(ctx, c.Actor)
			return paged(fleet.List[*fleet.Backup]{Items: all, Total: len(all)}, err, same)
		}},
	{Method: "POST", Path: "/backups", Tag: "backups", Summary: "Make a backup now and read it back", Out: fleet.Backup{}, Status: created,
		Do: func(ctx context.Context, c *call) (any, error) {
			return c.Fleet.MakeBackup(ctx, c.Actor, fleet.BackupManual)
		}},
	{Method: "GET", Path: "/backups/{id}/file", Tag: "backups", Summary: "The file of a backup; it opens with the recovery key only",
		Raw: func(ctx context.Context, c *call) error {
			b, file, err := c.Fleet.OpenBackup(ctx, c.Actor, fleet.BackupID(c.path("id")))
			if err != nil {
				return err
			}
			defer file.Close()
			c.w.Header().Set("Content-Type", "application/octet-stream")
			c.w.Header().Set("Content-Disposition", `attachment; filename="`+b.File+`"`)
			http.ServeContent(c.w, c.Request, "", time.Time{}, file)
			return nil
		}},
	{Method: "DELETE", Path: "/backups/{id}", Tag: "backups", Summary: "Delete a backup",
		Do: func(ctx context.Context, c *call) (any, error) {
			return none(c.Fleet.DeleteBackup(ctx, c.Actor, fleet.BackupID(c.path("id"))))
		}},
	{Method: "POST", Path: "/backups/{id}/rehearsal", Tag: "backups", Summary: "Restore a backup to a scratch directory and check it", Out: fleet.Backup{},
		Do: func(ctx context.Context, c *call) (any, error) {
			return c.Fleet.RehearseBackup(ctx, c.Actor, fleet.BackupID(c.path("id")))
		}},
	{Method: "GET", Path: "/recovery-key", Tag: "backups", Summary: "Which recovery key backups are made for", Out: fleet.Recovery{},
		Do: func(ctx context.Context, c *call) (any, error) { return c.Fleet.Recovery(ctx, c.Actor) }},
	{Method: "POST", Path: "/recovery-key", Tag: "backups", Summary: "Make a new recovery key; it counts once a part of it was given back", Out: recoveryMade{}, Status: created,
		Do: func(ctx context.Context, c *call) (any, error) {
			r, key, err := c.Fleet.NewRecovery(ctx, c.Actor)
			if err != nil {
				return nil, err
			}
			return recoveryMade{*r, key}, nil
		}},
	{Method: "POST", Path: "/recovery-key/later", Tag: "backups", Summary: "End set-up without a recovery key: no backups are made until there is one",
		Do: func(ctx context.Context, c *call) (any, error) { return none(c.Fleet.PutOffRecovery(ctx, c.Actor)) }},
	{Method: "POST", Path: "/recovery-key/proof", Tag: "backups", Summary: "Give the asked groups of the new recovery key back", In: recoveryProof{}, Out: fleet.Recovery{},
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[recoveryProof](c)
			if err != nil {
				return nil, err
			}
			return c.Fleet.ProveRecovery(ctx, c.Actor, b.Parts)
		}},
	{Method: "GET", Path: "/restored", Tag: "backups", Summary: "What waits after a restore, and devices without a record", Out: fleet.Restored{},
		Do: func(ctx context.Context, c *call) (any, error) { return c.Fleet.Restored(ctx, c.Actor) }},
	{Method: "POST", Path: "/restored/release", Tag: "backups", Summary: "Confirm the list: removals go out again", In: releaseBody{},
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[releaseBody](c)
			if err != nil {
				return nil, err
			}
			return none(c.Fleet.Release(ctx, c.Actor, b.List))
		}},
	{Method: "POST", Path: "/restored/unknown/{fingerprint}", Tag: "backups", Summary: "Adopt a device that has our certificate and no record", In: adoptBody{}, Out: fleet.Device{},
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[adoptBody](c)
			if err != nil {
				return nil, err
			}
			return c.Fleet.Adopt(ctx, c.Actor, c.path("fingerprint"), fleet.AdoptInput{Person: b.Person, Ownership: b.Ownership})
		}},
}
