package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Index says by which values records of T can be found besides their id.
type Index[T any] struct {
	Name   string // letters, digits, "-", "_", "."; unlike every other index of the collection
	Unique bool   // at most one record holds a value; Find works on these
	// Values returns the values of a record; none means that the record is not in this index. A value may
	// hold any bytes. It must depend on the record alone: entries are found again by computing them again.
	Values func(*T) []string
}

// Collection is the records of one kind, kept as JSON, each under its id. It holds no state but its
// definition, so it serves any number of stores.
type Collection[T any] struct {
	name    string
	id      func(*T) string
	indexes []Index[T]
}

// Define describes the collection called prefix. It panics when prefix is not a name or is one of the
// store's own ("ix", "meta"), and when an index is not well formed or named twice.
func Define[T any](prefix string, id func(*T) string, indexes ...Index[T]) *Collection[T] {
	if err := checkName(prefix); err != nil || prefix == "ix" || prefix == "meta" {
		panic(fmt.Sprintf("store: collection %q: bad prefix: %v", prefix, err))
	}
	if id == nil {
		panic(fmt.Sprintf("store: collection %q: no id function", prefix))
	}
	seen := make(map[string]bool)
	for _, ix := range indexes {
		if err := checkName(ix.Name); err != nil || ix.Values == nil || seen[ix.Name] {
			panic(fmt.Sprintf("store: collection %q: index %q is malformed or named twice: %v", prefix, ix.Name, err))
		}
		seen[ix.Name] = true
	}
	return &Collection[T]{name: prefix, id: id, indexes: slices.Clone(indexes)}
}

// Name returns the prefix that the collection was defined with.
func (c *Collection[T]) Name() string { return c.name }

// Get returns the record id, or ErrNotFound.
func (c *Collection[T]) Get(tx Tx, id string) (*T, error) {
	if id == "" {
		return nil, ErrNotFound
	}
	b, err := tx.Get(c.key(id))
	if err != nil {
		return nil, err
	}
	return c.decode(b)
}

// Has tells whether the record id exists.
func (c *Collection[T]) Has(tx Tx, id string) (bool, error) {
	if id == "" {
		return false, nil
	}
	_, err := tx.Get(c.key(id))
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// Insert writes a new record. It fails with an ExistsError (ErrExists) when its id or a unique value is taken.
func (c *Collection[T]) Insert(tx Tx, v *T) error {
	id := c.id(v)
	has, err := c.Has(tx, id)
	if err != nil {
		return err
	}
	if has {
		return &ExistsError{Collection: c.name, ID: id, Holder: id}
	}
	return c.write(tx, id, v, nil)
}

// Put writes a record, new or in place of the one with its id. It fails with an ExistsError (ErrExists) when
// another record holds one of its unique values; then nothing is written.
func (c *Collection[T]) Put(tx Tx, v *T) error {
	id := c.id(v)
	if len(c.indexes) == 0 || id == "" {
		return c.write(tx, id, v, nil)
	}
	old, err := tx.Get(c.key(id))
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	return c.write(tx, id, v, old)
}

// Replace is Put for a record that the caller has read in this transaction: old, unchanged since (nil: there was none), spares reading and
// decoding it once more. What old claims is trusted: another record than the stored one would leave index entries behind.
func (c *Collection[T]) Replace(tx Tx, old, v *T) error {
	id := c.id(v)
	if old != nil && c.id(old) != id {
		return fmt.Errorf("store: collection %s: %q cannot replace %q", c.name, id, c.id(old))
	}
	b, err := c.encode(id, v)
	if err != nil {
		return err
	}
	if len(c.indexes) > 0 {
		if v, err = c.asStored(v, b); err != nil {
			return err
		}
		if err := c.reconcile(tx, id, v, old); err != nil {
			return err
		}
	}
	return tx.Put(c.key(id), b)
}

// Delete removes the record id and its index entries, or returns ErrNotFound.
func (c *Collection[T]) Delete(tx Tx, id string) error {
	old, err := c.Get(tx, id)
	if err != nil {
		return err
	}
	for _, ix := range c.indexes {
		for _, value := range values(ix, old) {
			if err := tx.Delete(c.entryKey(ix, value, id)); err != nil {
				return err
			}
		}
	}
	return tx.Delete(c.key(id))
}

// Find returns the record that holds value in the unique index, or ErrNotFound.
func (c *Collection[T]) Find(tx Tx, index, value string) (*T, error) {
	ix, err := c.index(index)
	if err != nil {
		return nil, err
	}
	if !ix.Unique {
		return nil, fmt.Errorf("store: collection %s: index %s is not unique", c.name, index)
	}
	id, err := tx.Get(c.entryKey(*ix, value, ""))
	if err != nil {
		return nil, err
	}
	return c.indexed(tx, index, string(id))
}

// indexed gets a record that an index names. That it is absent is then damage, not an answer.
func (c *Collection[T]) indexed(tx Tx, index, id string) (*T, error) {
	v, err := c.Get(tx, id)
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("store: collection %s: index %s names the absent record %q", c.name, index, id)
	}
	return v, err
}

// write puts v in place of the record encoded in old, if any, and brings the index entries into line.
func (c *Collection[T]) write(tx Tx, id string, v *T, old []byte) error {
	b, err := c.encode(id, v)
	if err != nil {
		return err
	}
	if old != nil && bytes.Equal(old, b) {
		return nil
	}
	if err := c.reindex(tx, id, v, b, old); err != nil {
		return err
	}
	return tx.Put(c.key(id), b)
}

func (c *Collection[T]) encode(id string, v *T) ([]byte, error) {
	if id == "" {
		return nil, fmt.Errorf("store: collection %s: record without id", c.name)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("store: collection %s: encode: %w", c.name, err)
	}
	return b, nil
}

// replacement is what JSON writes for bytes that are not UTF-8, which it cannot hold.
var replacement = []byte(`\ufffd`)

// asStored is v as it will be read back. Index entries follow that, or they would not be found again when the record changes.
func (c *Collection[T]) asStored(v *T, encoded []byte) (*T, error) {
	if !bytes.Contains(encoded, replacement) {
		return v, nil
	}
	return c.decode(encoded)
}

// reindex brings the entries of record id from what old, its former encoding, implies to what v implies.
func (c *Collection[T]) reindex(tx Tx, id string, v *T, encoded, old []byte) (err error) {
	if len(c.indexes) == 0 {
		return nil
	}
	if v, err = c.asStored(v, encoded); err != nil {
		return err
	}
	var before *T
	if old != nil {
		if before, err = c.decode(old); err != nil {
			return err
		}
	}
	return c.reconcile(tx, id, v, before)
}

// reconcile replaces the index entries of before, nil for none, by those of v.
func (c *Collection[T]) reconcile(tx Tx, id string, v, before *T) error {
	var add, remove [][]byte
	var unique []bool // of add
	for _, ix := range c.indexes {
		now := values(ix, v)
		var was []string
		if before != nil {
			was = values(ix, before)
		}
		for _, value := range was {
			if !slices.Contains(now, value) {
				remove = append(remove, c.entryKey(ix, value, id))
			}
		}
		for _, value := range now {
			if slices.Contains(was, value) {
				continue
			}
			key := c.entryKey(ix, value, id)
			if ix.Unique {
				holder, err := tx.Get(key)
				if err == nil && string(holder) != id {
					return &ExistsError{Collection: c.name, ID: id, Index: ix.Name, Holder: string(holder)}
				}
				if err != nil && !errors.Is(err, ErrNotFound) {
					return err
				}
			}
			add, unique = append(add, key), append(unique, ix.Unique)
		}
	}
	for _, key := range remove {
		if err := tx.Delete(key); err != nil {
			return err
		}
	}
	for i, key := range add {
		var value []byte
		if unique[i] {
			value = []byte(id)
		}
		if err := tx.Put(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (c *Collection[T]) decode(b []byte) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(b, v); err != nil {
		return nil, fmt.Errorf("store: collection %s: decode: %w", c.name, err)
	}
	return v, nil
}

func (c *Collection[T]) index(name string) (*Index[T], error) {
	for i := range c.indexes {
		if c.indexes[i].Name == name {
			return &c.indexes[i], nil
		}
	}
	return nil, fmt.Errorf("store: collection %s has no index %q", c.name, name)
}

// values returns the record's values of an index, each once.
func values[T any](ix Index[T], v *T) []string {
	all := ix.Values(v)
	if len(all) < 2 {
		return all
	}
	all = slices.Clone(all)
	slices.Sort(all)
	return slices.Compact(all)
}

// base returns what the keys of the index begin with, or those of the records when index is empty.
func (c *Collection[T]) base(index string) []byte {
	if index == "" {
		return []byte(c.name + "/")
	}
	return []byte(indexBase + c.name + "/" + index + "/")
}

func (c *Collection[T]) key(id string) []byte {
	return append(c.base(""), id...)
}

func (c *Collection[T]) entryKey(ix Index[T], value, id string) []byte {
	key := append(appendEscaped(c.base(ix.Name), value), valueEnd...)
	if ix.Unique {
		return key
	}
	return append(key, id...)
}
