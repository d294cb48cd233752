package store

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"
)

// A backup file is, in this order:
//
//	backupMagic
//	the header: one line of JSON, readable without a key
//	an age stream (C2SP age), in it zstd, in that:
//	    the header once more, and the secrets key, as one record of JSON
//	    the entries: 1, length of key, length of value, key, value
//	    the end: 0, number of entries, SHA-256 of all before it, and the proof over that hash
//	the SHA-256 of all before it, by which anyone can tell a cut or damaged copy without a key
//
// Badger's own backup is not used: its incrementals bring deleted records back, a cut stream loads without an error, it is written in the clear,
// and it holds more than a gigabyte for a store of 200 MB.
const backupMagic = "muster-backup-1\n"

const (
	backupHeaderMost = 4 << 10 // bytes
	markEntry        = 1
	markEnd          = 0
	backupWindow     = 1 << 20 // of the compression
)

// BackupHeader says what a backup is, before it is opened.
type BackupHeader struct {
	Program   string    `json:"program"` // version that wrote it
	Schema    int       `json:"schema"`
	Created   time.Time `json:"created"`
	Appliance string    `json:"appliance"` // fingerprint of its root certificate, or whatever the caller names it by
	Recovery  string    `json:"recovery"`  // RecoveryPublic.Name of the key that opens it
}

// backupSecrets is what the inside of a backup begins with.
type backupSecrets struct {
	Header  BackupHeader `json:"header"`
	Secrets []byte       `json:"secrets"` // Keys.Secrets: sealed secrets stay sealed with it
}

// BackupSummary is what was written or read.
type BackupSummary struct {
	Header  BackupHeader
	Entries uint64
	Bytes   int64  // of the file
	SHA256  string // of the file without its own checksum, hex
}

// BackupTarget says for whom a backup is written.
type BackupTarget struct {
	Recovery  RecoveryPublic
	Rehearsal RehearsalKey
}

// WriteBackup writes the whole store, as it is at this moment, to path: whole or not at all, synced, and read back from the disk and checked
// before it gets its name. Writers go on meanwhile. Memory does not grow with the store. Schema and Recovery of the header are filled in.
func (db *DB) WriteBackup(ctx context.Context, path string, h BackupHeader, to BackupTarget) (BackupSummary, error) {
	h.Schema, h.Recovery, h.Created = db.Schema(), to.Recovery.Name(), h.Created.UTC().Truncate(time.Second)
	var sum BackupSummary
	err := writeWhole(path, partName+"*", false, func(f *os.File) (err error) {
		if sum, err = db.writeBackup(ctx, f, h, to); err != nil {
			return err
		}
		if err = f.Sync(); err != nil {
			return err
		}
		dropCached(f)
		read, err := ReadBackup(ctx, f, to.Rehearsal, nil)
		if err == nil && read != sum {
			err = fmt.Errorf("%w: it reads back otherwise than it was written", ErrBadBackup)
		}
		if err != nil {
			return fmt.Errorf("read back: %w", err)
		}
		return nil
	})
	if err != nil {
		return BackupSummary{}, fmt.Errorf("store: backup: %w", err)
	}
	return sum, nil
}

// partName begins the names of backups that are being written. One that is left was interrupted.
const partName = ".muster-backup-"

// ClearParts removes what interrupted backups left in dir.
func ClearParts(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, partName+"*"))
	for _, name := range left {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

func (db *DB) writeBackup(ctx context.Context, f io.Writer, h BackupHeader, to BackupTarget) (BackupSummary, error) {
	readers, err := recipients(to.Recovery, to.Rehearsal)
	if err != nil {
		return BackupSummary{}, err
	}
	head, err := json.Marshal(h)
	if err != nil {
		return BackupSummary{}, err
	}
	buffered := bufio.NewWriterSize(f, 256<<10)
	out := &countedWriter{w: buffered, hash: sha256.New()}
	if _, err := io.WriteString(out, backupMagic+string(head)+"\n"); err != nil {
		return BackupSummary{}, err
	}
	sealed, err := age.Encrypt(out, readers...)
	if err != nil {
		return BackupSummary{}, err
	}
	packed, err := zstd.NewWriter(sealed, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(backupWindow), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return BackupSummary{}, err
	}
	n, err := db.writeEntries(ctx, packed, h, to.Recovery.Proof)
	if err != nil {
		return BackupSummary{}, errors.Join(err, packed.Close())
	}
	if err := packed.Close(); err != nil {
		return BackupSummary{}, err
	}
	if err := sealed.Close(); err != nil {
		return BackupSummary{}, err
	}
	sum := out.hash.Sum(nil)
	if _, err := out.Write(sum); err != nil {
		return BackupSummary{}, err
	}
	return BackupSummary{Header: h, Entries: n, Bytes: out.n, SHA256: hex.EncodeToString(sum)}, buffered.Flush()
}

// writeEntries writes the inside of a backup, from one read transaction.
func (db *DB) writeEntries(ctx context.Context, w io.Writer, h BackupHeader, proof []byte) (n uint64, err error) {
	plain := &countedWriter{w: w, hash: sha256.New()}
	first, err := json.Marshal(backupSecrets{Header: h, Secrets: db.secrets})
	if err != nil {
		return 0, err
	}
	var lengths []byte
	write := func(parts ...[]byte) error {
		for _, p := range parts {
			if _, err := plain.Write(p); err != nil {
				return err
			}
		}
		return nil
	}
	if err := write(binary.AppendUvarint(nil, uint64(len(first))), first); err != nil {
		return 0, err
	}
	err = db.View(ctx, func(tx Tx) error {
		return tx.Scan(Range{}, func(key, value []byte) (bool, error) {
			n++
			lengths = append(lengths[:0], markEntry)
			lengths = binary.AppendUvarint(lengths, uint64(len(key)))
			lengths = binary.AppendUvarint(lengths, uint64(len(value)))
			return true, write(lengths, key, value)
		})
	})
	if err != nil {
		return 0, err
	}
	if err := write(binary.AppendUvarint([]byte{markEnd}, n)); err != nil {
		return 0, err
	}
	sum := plain.hash.Sum(nil)
	return n, write(sum, prove(proof, sum))
}

func prove(key, sum []byte) []byte {
	m := hmac.New(sha256.New, key)
	m.Write(sum)
	return m.Sum(nil)
}

// countedWriter counts and hashes what passes.
type countedWriter struct {
	w    io.Writer
	hash hash.Hash
	n    int64
}

func (c *countedWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.hash.Write(b[:n])
	c.n += int64(n)
	return n, err
}

// BackupHead reads the header of a backup, which needs no key. ErrBadBackup when the file is none.
func BackupHead(r io.ReaderAt) (BackupHeader, error) {
	h, _, err := backupHead(r)
	return h, err
}

// backupHead also returns where the header ends.
func backupHead(r io.ReaderAt) (h BackupHeader, end int64, err error) {
	b := make([]byte, len(backupMagic)+backupHeaderMost)
	n, err := r.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return h, 0, err
	}
	b = b[:n]
	if !bytes.HasPrefix(b, []byte(backupMagic)) {
		return h, 0, fmt.Errorf("%w: it is not a backup of this program", ErrBadBackup)
	}
	line, _, ok := bytes.Cut(b[len(backupMagic):], []byte("\n"))
	if ok {
		ok = json.Unmarshal(line, &h) == nil
	}
	if again, err := json.Marshal(h); !ok || err != nil || !bytes.Equal(again, line) { // only the form that we write: no byte of it can change
		return h, 0, fmt.Errorf("%w: its beginning is damaged", ErrBadBackup)
	}
	return h, int64(len(backupMagic) + len(line) + 1), nil
}

// ReadBackup reads a backup to its end, checks all of it, and gives each entry to fn, which may be nil. What fn was given counts for nothing until
// ReadBackup has returned without an error. Errors: ErrBadBackup for a file that is cut, altered, foreign, or not from this appliance's key;
// ErrWrongKey when it was made for another recovery key.
func ReadBackup(ctx context.Context, f io.ReadSeeker, key BackupKey, fn func(key, value []byte) error) (BackupSummary, error) {
	sum, _, err := readBackup(ctx, f, key, fn)
	return sum, err
}

func readBackup(ctx context.Context, f io.ReadSeeker, key BackupKey, fn func(key, value []byte) error) (sum BackupSummary, secrets []byte, err error) {
	k, err := key.opener()
	if err != nil {
		return sum, nil, err
	}
	at, ok := f.(io.ReaderAt)
	if !ok {
		return sum, nil, errors.New("store: a backup is read from a file")
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return sum, nil, err
	}
	head, begin, err := backupHead(at)
	if err != nil {
		return sum, nil, err
	}
	end := size - sha256.Size
	if end <= begin {
		return sum, nil, fmt.Errorf("%w: it is cut off", ErrBadBackup)
	}
	if err := checkSum(ctx, at, end); err != nil {
		return sum, nil, err
	}
	if k.name != "" && k.name != head.Recovery {
		return sum, nil, fmt.Errorf("%w: the backup was made for recovery key %s, this is %s", ErrWrongKey, head.Recovery, k.name)
	}
	sealed, err := age.Decrypt(bufio.NewReaderSize(io.NewSectionReader(at, begin, end-begin), 256<<10), k.identity)
	if err != nil {
		var none *age.NoIdentityMatchError
		if errors.As(err, &none) {
			return sum, nil, fmt.Errorf("%w: the backup was not made for this recovery key", ErrWrongKey)
		}
		return sum, nil, fmt.Errorf("%w: %w", ErrBadBackup, err)
	}
	packed, err := zstd.NewReader(sealed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(2*backupWindow), zstd.WithDecoderLowmem(true))
	if err != nil {
		return sum, nil, err
	}
	defer packed.Close()
	in := &entryReader{r: bufio.NewReaderSize(packed, 64<<10), hash: sha256.New()}
	first, err := in.readFirst()
	if err != nil {
		return sum, nil, err
	}
	if first.Header != head {
		return sum, nil, fmt.Errorf("%w: its header was altered", ErrBadBackup)
	}
	n, err := in.readEntries(ctx, k.proof, fn)
	if err != nil {
		return sum, nil, err
	}
	var sha [sha256.Size]byte
	if _, err := at.ReadAt(sha[:], end); err != nil && !errors.Is(err, io.EOF) {
		return sum, nil, err
	}
	return BackupSummary{Header: head, Entries: n, Bytes: size, SHA256: hex.EncodeToString(sha[:])}, first.Secrets, nil
}

// checkSum compares the checksum at end with what lies before it.
func checkSum(ctx context.Context, f io.ReaderAt, end int64) error {
	h := sha256.New()
	in := io.NewSectionReader(f, 0, end)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		_, err := io.CopyN(h, in, 1<<20)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	var want [sha256.Size]byte
	if n, err := f.ReadAt(want[:], end); n < len(want) {
		return err
	}
	if !bytes.Equal(h.Sum(nil), want[:]) {
		return fmt.Errorf("%w: it is cut off or damaged, its checksum does not fit", ErrBadBackup)
	}
	return nil
}

// entryReader reads the inside of a backup.
type entryReader struct {
	r    *bufio.Reader
	hash hash.Hash
	buf  []byte
}

func (e *entryReader) bad(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it is cut off", ErrBadBackup)
	}
	return fmt.Errorf("%w: %w", ErrBadBackup, err)
}

// ReadByte makes an entryReader one that lengths are read from.
func (e *entryReader) ReadByte() (byte, error) {
	b, err := e.r.ReadByte()
	if err == nil {
		e.hash.Write([]byte{b})
	}
	return b, err
}

// next reads n bytes, valid until the next call.
func (e *entryReader) next(n int) ([]byte, error) {
	if cap(e.buf) < n {
		e.buf = make([]byte, n, 2*n)
	}
	b := e.buf[:n]
	if _, err := io.ReadFull(e.r, b); err != nil {
		return nil, e.bad(err)
	}
	e.hash.Write(b)
	return b, nil
}

// length reads a length of at most most.
func (e *entryReader) length(most uint64) (int, error) {
	n, err := binary.ReadUvarint(e)
	if err != nil {
		return 0, e.bad(err)
	}
	if n > most {
		return 0, fmt.Errorf("%w: a length of %d", ErrBadBackup, n)
	}
	return int(n), nil
}

func (e *entryReader) readFirst() (first backupSecrets, err error) {
	n, err := e.length(2 * backupHeaderMost)
	if err != nil {
		return first, err
	}
	b, err := e.next(n)
	if err != nil {
		return first, err
	}
	if err := json.Unmarshal(b, &first); err != nil || len(first.Secrets) != 32 {
		return first, fmt.Errorf("%w: its beginning is damaged", ErrBadBackup)
	}
	return first, nil
}

func (e *entryReader) readEntries(ctx context.Context, proof []byte, fn func(key, value []byte) error) (n uint64, err error) {
	var key []byte
	for {
		mark, err := e.ReadByte()
		if err != nil {
			return 0, e.bad(err)
		}
		if mark == markEnd {
			return n, e.readEnd(n, proof)
		}
		if mark != markEntry {
			return 0, fmt.Errorf("%w: unknown mark %d", ErrBadBackup, mark)
		}
		k, err := e.length(MaxKey)
		if err != nil {
			return 0, err
		}
		v, err := e.length(MaxValue)
		if err != nil {
			return 0, err
		}
		both, err := e.next(k + v)
		if err != nil {
			return 0, err
		}
		if n > 0 && bytes.Compare(key, both[:k]) >= 0 {
			return 0, fmt.Errorf("%w: entries out of order", ErrBadBackup)
		}
		key = append(key[:0], both[:k]...)
		if n++; n%256 == 0 {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
		}
		if fn != nil {
			if err := fn(both[:k:k], both[k:]); err != nil {
				return 0, err
			}
		}
	}
}

// readEnd checks count, hash and proof, and that nothing follows.
func (e *entryReader) readEnd(n uint64, proof []byte) error {
	count, err := binary.ReadUvarint(e)
	if err != nil {
		return e.bad(err)
	}
	sum := e.hash.Sum(nil)
	tail, err := e.next(2 * sha256.Size)
	switch {
	case err != nil:
		return err
	case count != n || !bytes.Equal(tail[:sha256.Size], sum):
		return fmt.Errorf("%w: its count or its hash does not fit", ErrBadBackup)
	case !hmac.Equal(tail[sha256.Size:], prove(proof, sum)):
		return fmt.Errorf("%w: it was not written by the appliance that this recovery key belongs to", ErrBadBackup)
	}
	if _, err := e.r.ReadByte(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows its end", ErrBadBackup)
	}
	return nil
}
