package store

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
)

// RecoveryKey is the private half of the key that backups are encrypted to. It opens every backup made for it and is never kept here: a
// person keeps its text. The form is that of age (C2SP age, X25519), so that it can be told from other things and survives being typed.
type RecoveryKey struct {
	identity *age.X25519Identity
}

// RecoveryPublic is what an appliance keeps of a recovery key: enough to write backups, not to read them.
type RecoveryPublic struct {
	Recipient string `json:"recipient"` // age1…
	// Proof authenticates backups. age says who may read a file, not who wrote it: without this, whoever knows the recipient could
	// make a backup that restores. It follows from the private half, so that restoring needs nothing else.
	Proof []byte `json:"proof"`
}

// NewRecoveryKey makes one.
func NewRecoveryKey() (*RecoveryKey, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return nil, fmt.Errorf("store: recovery key: %w", err)
	}
	return &RecoveryKey{id}, nil
}

// ParseRecoveryKey reads what String wrote: alone, among comment lines, or with the spaces that a person typed into it. ErrWrongKey for anything else.
func ParseRecoveryKey(text string) (*RecoveryKey, error) {
	var key strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
			key.WriteString(strings.Join(strings.Fields(line), ""))
		}
	}
	id, err := age.ParseX25519Identity(strings.ToUpper(key.String()))
	if err != nil { // its text would show a part of the key
		return nil, fmt.Errorf("%w: this is no recovery key, or letters of it are wrong", ErrWrongKey)
	}
	return &RecoveryKey{id}, nil
}

// String is the key itself: whoever has it reads every backup.
func (k *RecoveryKey) String() string { return k.identity.String() }

// Public is the half that the appliance keeps.
func (k *RecoveryKey) Public() (RecoveryPublic, error) {
	proof, err := hkdf.Key(sha256.New, []byte(k.identity.String()), nil, "muster backup proof 1", 32)
	if err != nil {
		return RecoveryPublic{}, fmt.Errorf("store: recovery key: %w", err)
	}
	return RecoveryPublic{Recipient: k.identity.Recipient().String(), Proof: proof}, nil
}

// Name is a short name of the key, by which a person tells which key a backup needs.
func (p RecoveryPublic) Name() string {
	sum := sha256.Sum256([]byte(p.Recipient))
	return hex.EncodeToString(sum[:4])
}

// RehearsalKey is a second key that opens backups: the appliance's own, so that it can read them back and rehearse a restore. Whoever can read it
// has the whole store already.
type RehearsalKey struct {
	Identity string `json:"identity"`
	Proof    []byte `json:"proof"` // that of the recovery key
}

// opener is what opens a backup, and the proof that it must carry.
type opener struct {
	identity age.Identity
	proof    []byte
	name     string // of the recovery key that the backup must name; "" = any
}

func (k *RecoveryKey) opener() (opener, error) {
	p, err := k.Public()
	return opener{k.identity, p.Proof, p.Name()}, err
}

func (k RehearsalKey) opener() (opener, error) {
	id, err := age.ParseX25519Identity(k.Identity)
	if err != nil {
		return opener{}, errors.New("store: rehearsal key is damaged")
	}
	return opener{id, k.Proof, ""}, nil
}

// BackupKey opens backups: a RecoveryKey or a RehearsalKey.
type BackupKey interface{ opener() (opener, error) }

var (
	_ BackupKey = (*RecoveryKey)(nil)
	_ BackupKey = RehearsalKey{}
)

// NewRehearsalKey makes one for backups to p.
func NewRehearsalKey(p RecoveryPublic) (RehearsalKey, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return RehearsalKey{}, fmt.Errorf("store: rehearsal key: %w", err)
	}
	return RehearsalKey{Identity: id.String(), Proof: p.Proof}, nil
}

// recipients are those that a backup is encrypted to.
func recipients(p RecoveryPublic, own RehearsalKey) ([]age.Recipient, error) {
	to, err := age.ParseX25519Recipient(p.Recipient)
	if err != nil {
		return nil, fmt.Errorf("store: recovery key: %w", err)
	}
	id, err := age.ParseX25519Identity(own.Identity)
	if err != nil {
		return nil, errors.New("store: rehearsal key is damaged")
	}
	return []age.Recipient{to, id.Recipient()}, nil
}
