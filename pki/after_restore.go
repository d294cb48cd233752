package pki

import (
	"context"

	"muster/store"
)

// crlJump is how far the number of revocation lists jumps at a restore. Between two lists it rises by one or follows the clock in seconds, so that
// whatever was published after the backup lies far below, also when this machine's clock is behind. RFC 5280, 5.2.3 allows 20 octets.
const crlJump = 1 << 32

// AfterRestore brings an authority that was restored from a backup to where it cannot repeat itself: every challenge is void, because it may have been
// used since, and the next revocation list has a number above any that was published. Serial numbers are random in 127 bits and need no jump.
func (a *Authority) AfterRestore(ctx context.Context) error {
	const batch = 500
	for n := batch; n == batch; {
		err := a.db.Update(ctx, func(tx store.Tx) error {
			n = 0
			return a.deleteCounted(tx, store.Query{}, batch, &n)
		})
		if err != nil {
			return err
		}
	}
	return a.db.Update(ctx, func(tx store.Tx) error {
		state, err := a.records.crl.Get(tx, issuingCRL)
		if isNotFound(err) {
			state, err = &crlState{ID: issuingCRL}, nil
		}
		if err != nil {
			return err
		}
		state.Number = max(state.Number, a.now().Unix()) + crlJump
		return a.records.crl.Put(tx, state)
	})
}
