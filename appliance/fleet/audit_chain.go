package fleet

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"muster/store"
)

// auditLog holds the chain. Its ids are the sequence numbers, so that id order is time order.
var auditLog = store.Define("au", func(r *AuditRecord) string { return auditID(r.Seq) },
	store.Index[AuditRecord]{Name: "object", Values: func(r *AuditRecord) []string { return nonEmpty(r.Object) }},
	store.Index[AuditRecord]{Name: "actor", Values: func(r *AuditRecord) []string {
		if name := strings.ToLower(r.Name); name != r.Actor {
			return append(nonEmpty(r.Actor), nonEmpty(name)...)
		}
		return nonEmpty(r.Actor)
	}},
	store.Index[AuditRecord]{Name: "verb", Values: func(r *AuditRecord) []string { return nonEmpty(r.Verb) }},
	store.Index[AuditRecord]{Name: "time", Values: func(r *AuditRecord) []string { return []string{auditTime(r.At)} }},
)

func auditID(seq uint64) string { return fmt.Sprintf("%020d", seq) }

// auditTime sorts as the time does.
func auditTime(t time.Time) string { return t.UTC().Format("20060102T150405.000000000") }

// auditHead is the end of the chain. It is kept sealed: who can write to the store but lacks the secrets key can make no other end, and
// so neither rewrite the chain nor cut its tail unnoticed. It is also the guard key that puts records in one order.
type auditHead struct {
	Seq     uint64 `json:"seq"`
	Hash    []byte `json:"hash"`
	Cut     uint64 `json:"cut,omitempty"` // the last record that retention took out; the kept part begins behind it
	CutHash []byte `json:"cut_hash,omitempty"`
}

func (f *Fleet) auditHead(tx store.Tx) (auditHead, error) {
	var h auditHead
	sealed, err := tx.Get(keyAuditHead)
	if errors.Is(err, store.ErrNotFound) {
		return h, nil
	}
	if err != nil {
		return h, fmt.Errorf("read end of audit log: %w", err)
	}
	plain, err := f.db.Sealer().Open("audit-head", "head", sealed)
	if err != nil {
		return h, fmt.Errorf("open end of audit log: %w", err)
	}
	return h, json.Unmarshal(plain, &h)
}

// hashOf is SHA-256 over the record's JSON with an empty Hash.
func hashOf(r *AuditRecord) ([]byte, error) {
	c := *r
	c.Hash = nil
	b, err := json.Marshal(&c)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	return sum[:], nil
}

// recordSave logs that something was made (before nil) or changed.
func (f *Fleet) recordSave(tx store.Tx, a Actor, object, label string, tags []Tag, before, after any) error {
	verb := "update"
	if before == nil {
		verb = "create"
	}
	return f.record(tx, a, verb, object, label, tags, before, after)
}

// record appends to the audit chain in the caller's transaction. before and after are marshalled with secrets left out.
func (f *Fleet) record(tx store.Tx, a Actor, verb, object, label string, tags []Tag, before, after any) error {
	head, err := f.auditHead(tx)
	if err != nil {
		return err
	}
	r := &AuditRecord{Seq: head.Seq + 1, At: f.now().UTC().Round(0), Kind: a.Kind, Actor: clip(a.ID, 200), Name: clip(a.Name, 200),
		From: clip(a.From, 64), Via: clip(a.Via, 32), Verb: verb, Object: clip(object, 300), Label: clip(label, 300), Previous: head.Hash}
	for _, t := range tags {
		r.Tags = append(r.Tags, Tag(clip(string(t), 100)))
	}
	if a.Token != "" {
		r.Via = clip(a.Via+" token/"+string(a.Token), 64)
	}
	if r.Before, err = auditJSON(before); err != nil {
		return fmt.Errorf("audit %s: %w", object, err)
	}
	if r.After, err = auditJSON(after); err != nil {
		return fmt.Errorf("audit %s: %w", object, err)
	}
	if r.Hash, err = hashOf(r); err != nil {
		return fmt.Errorf("audit %s: %w", object, err)
	}
	if err := auditLog.Insert(tx, r); err != nil {
		return fmt.Errorf("audit %s: %w", object, err)
	}
	head.Seq, head.Hash = r.Seq, r.Hash
	return f.putAuditHead(tx, head)
}

// clip keeps text within a number of bytes, at a rune's edge, and valid.
func clip(s string, most int) string {
	if len(s) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// auditMost is the size beyond which a value is kept as its hash only.
const auditMost = 64 << 10

// auditJSON marshals a value for the log, with secrets hidden. nil gives nil.
func auditJSON(v any) (json.RawMessage, error) {
	if v == nil {
		return nil, nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if string(b) == "null" {
		return nil, nil
	}
	if b, err = hideSecrets(b); err != nil {
		return nil, err
	}
	if len(b) > auditMost {
		sum := sha256.Sum256(b)
		return json.Marshal(map[string]any{"bytes": len(b), "sha256": hex.EncodeToString(sum[:])})
	}
	return b, nil
}

// secretKeys are the JSON names, of our own records, whose values never enter the log.
var secretKeys = map[string]bool{"hash": true, "totp": true, "totp_used": true, "recovery": true, "secret": true, "pin": true,
	"address": true, "token": true, "code": true, "private_key": true, "wake": true}

func isSecret(key string) bool {
	key = strings.ToLower(key)
	return secretKeys[key] || strings.HasSuffix(key, "_hash") || strings.HasSuffix(key, "password") || strings.HasSuffix(key, "secret")
}

// hideSecrets replaces every secret text or list by a mark that says only that there is one. Numbers keep their digits.
func hideSecrets(b []byte) ([]byte, error) {
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if !hideIn(v) {
		return b, nil
	}
	return json.Marshal(v)
}

func hideIn(v any) (changed bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if x == SecretShown || x == secretChanged {
				continue // hidden already
			}
			if _, isBool := x.(bool); x != nil && !isBool && isSecret(k) {
				v[k] = "(hidden)"
				changed = true
				continue
			}
			changed = hideIn(x) || changed
		}
	case []any:
		for _, x := range v {
			changed = hideIn(x) || changed
		}
	}
	return changed
}
