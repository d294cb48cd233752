package appliance

import (
	"context"
	"errors"
	"fmt"
	"io"

	"muster/store"
)

// SealKeyConfig is what `muster seal-key` takes.
type SealKeyConfig struct {
	Config
	Next string // "" = only look
}

// ParseSealKey reads the flags of `muster seal-key`.
func ParseSealKey(args []string, out io.Writer) (SealKeyConfig, error) {
	var c SealKeyConfig
	fs := newFlagSet("seal-key")
	c.flags(fs)
	fs.StringVar(&c.Next, "new", "", "`file` of the key to go over to; it is made when it does not exist. Without it the present key is only tried")
	if err := parseAbout(fs, args, out); err != nil {
		return SealKeyConfig{}, err
	}
	return c, c.complete()
}

// SealKey tries the seal key, and goes over to another when that was asked for. The data are not written again: the seal key wraps their keys only, which
// takes no time and may be done while the server runs, for it reads the seal key at its start.
func SealKey(_ context.Context, c SealKeyConfig, out io.Writer) (err error) {
	defer func() { err = errors.Join(err, giveToOwner(c.Data, c.Key)) }()
	if err := store.FinishRestore(c.Data); err != nil {
		return dataError(&c.Config, err)
	}
	if err := store.CheckSealKey(c.Data, c.Key); err != nil {
		return dataError(&c.Config, err)
	}
	if c.Next == "" {
		fmt.Fprintf(out, "%s opens the data in %s. Keep a copy of it apart from them: without it, and without a backup and its recovery key, nobody can read them.\n", c.Key, c.Data)
		return nil
	}
	if err := store.RotateSealKey(c.Data, c.Key, c.Next); err != nil {
		return dataError(&c.Config, err)
	}
	then := fmt.Sprintf("Start the server with --key %s from now on", c.Next)
	if p := systemPlaces(); c.Key == p.Key {
		then = fmt.Sprintf("The service reads %s: move the old key away and the new one there (mv %s %s), then muster restart", p.Key, c.Next, p.Key)
	}
	fmt.Fprintf(out, `The data in %s now open with %s, and no longer with %s.
%s, and keep a copy of the new key apart from the data.
Destroy the old key when the server has started: it still opens copies of the data directory that were made before.
`, c.Data, c.Next, c.Key, then)
	return nil
}
