package store

import (
	"errors"
	"fmt"
)

// The sentinel errors of this package. Callers ask for them with errors.Is.
var (
	// ErrNotFound means that no record or key of that name exists.
	ErrNotFound = errors.New("store: not found")

	// ErrExists means that a record with that id is present already, or that another record holds a value
	// of a unique index. An ExistsError says which.
	ErrExists = errors.New("store: exists already")

	// ErrTooBig means that a key is longer than MaxKey, that a value is longer than MaxValue, or that one
	// transaction writes more than the engine takes at once. A transaction that met it cannot commit.
	ErrTooBig = errors.New("store: too big")

	// ErrClosed means that the store is closed or closing.
	ErrClosed = errors.New("store: closed")

	// ErrTxDone means that a transaction was used after its function had returned.
	ErrTxDone = errors.New("store: transaction is over")

	// ErrReadOnly means that a write was tried in a View.
	ErrReadOnly = errors.New("store: transaction is read-only")

	// ErrBadKey means that a key is empty or begins with the engine's own prefix.
	ErrBadKey = errors.New("store: bad key")

	// ErrNewerSchema means that the data was written by a newer version of the program.
	ErrNewerSchema = errors.New("store: data was written by a newer version of this program")

	// ErrWrongKey means that the store, or its keys file, was made with another key.
	ErrWrongKey = errors.New("store: this key does not open this store")

	// ErrKeyMissing means that one half of the key pair (seal key, keys file) is absent while data that
	// needs it is present. Nothing is created in its place, for that would hide the loss.
	ErrKeyMissing = errors.New("store: key file is missing")

	// ErrKeyPlace means that a seal key lies inside the data directory, or that others may read it.
	ErrKeyPlace = errors.New("store: seal key is not kept apart")

	// ErrLocked means that another process, or another DB of this process, has the directory open.
	ErrLocked = errors.New("store: data directory is in use by another process")

	// ErrForeign means that the directory holds files that are not ours.
	ErrForeign = errors.New("store: directory does not belong to this program")

	// ErrBadCursor means that a cursor is malformed, or comes from another query.
	ErrBadCursor = errors.New("store: bad cursor")

	// ErrUnsealable means that a sealed secret was changed, or sealed for another record or with another key.
	ErrUnsealable = errors.New("store: secret cannot be unsealed")

	// ErrBadBackup means that a file is no backup of ours, or that it was cut or altered.
	ErrBadBackup = errors.New("store: not a usable backup")

	// ErrNoRoom means that the disk is nearly full, so that the update was refused before anything of it was written. It passes by itself
	// once there is room again.
	ErrNoRoom = errors.New("store: the disk is nearly full")

	// ErrFailed means that an earlier commit failed. What the disk holds is then uncertain, so nothing more
	// is written until the program is started again and the engine has recovered.
	ErrFailed = errors.New("store: an earlier commit failed, restart needed")
)

// ExistsError says what stood in the way of a write. It is ErrExists.
type ExistsError struct {
	Collection string // name of the collection
	ID         string // id of the record that was to be written
	Index      string // unique index whose value is taken; empty when the id itself is present
	Holder     string // id of the record that holds the value; equal to ID when Index is empty
}

// Error names the collection and the index; never the value, which may be a secret's hash.
func (e *ExistsError) Error() string {
	if e.Index == "" {
		return fmt.Sprintf("store: %s %q exists already", e.Collection, e.ID)
	}
	return fmt.Sprintf("store: %s %q: its %s is taken by %q", e.Collection, e.ID, e.Index, e.Holder)
}

// Unwrap makes an ExistsError an ErrExists.
func (e *ExistsError) Unwrap() error { return ErrExists }

// PanicError is what Update returns when its function panicked. Nothing of that function was written.
type PanicError struct {
	Value any    // what was given to panic
	Stack []byte // the stack of the panic
}

// Error gives the panic's value.
func (e *PanicError) Error() string { return fmt.Sprintf("store: update panicked: %v", e.Value) }

// Unwrap gives the panic's value when it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}
