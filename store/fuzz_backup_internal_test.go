package store

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"testing"
	"time"
)

// FuzzBackup gives the readers of a backup arbitrary bytes: as a file, and as the inside of one that was made for our recovery key by a stranger. Without
// the proof nothing is a backup, and nothing is taken for longer than it says it is.
func FuzzBackup(f *testing.F) {
	head := BackupHeader{Program: "test", Schema: 1, Created: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC), Appliance: "a1", Recovery: "r1"}
	line, err := json.Marshal(head)
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(backupMagic + string(line) + "\nage-encryption.org/v1\n"))
	f.Add([]byte(backupMagic + `{"created":"9999-99-99T00:00:00Z"}` + "\n"))
	first, err := json.Marshal(backupSecrets{Header: head, Secrets: make([]byte, 32)})
	if err != nil {
		f.Fatal(err)
	}
	inside := append(binary.AppendUvarint(nil, uint64(len(first))), first...)
	entry := func(b []byte, k, v string) []byte {
		b = binary.AppendUvarint(append(b, markEntry), uint64(len(k)))
		return append(binary.AppendUvarint(b, uint64(len(v))), k+v...)
	}
	end := func(b []byte, n uint64) []byte {
		b = binary.AppendUvarint(append(b, markEnd), n)
		sum := sha256.Sum256(b)
		return append(append(b, sum[:]...), prove([]byte("guessed"), sum[:])...)
	}
	f.Add(end(entry(entry(bytes.Clone(inside), "a", "1"), "b", "2"), 2))
	f.Add(end(entry(entry(bytes.Clone(inside), "b", "1"), "a", "2"), 2))              // out of order
	f.Add(append(bytes.Clone(inside), markEntry, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f)) // a claimed length
	f.Add(binary.AppendUvarint(nil, 1<<40))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, at, err := backupHead(bytes.NewReader(b)); err == nil {
			again, err := json.Marshal(h)
			if err != nil || at > int64(len(b)) || !bytes.HasPrefix(b, append([]byte(backupMagic), again...)) {
				t.Errorf("a header that is not what stands there: %+v", h)
			}
		} else if !errors.Is(err, ErrBadBackup) {
			t.Errorf("header: %v", err)
		}
		in := &entryReader{r: bufio.NewReader(bytes.NewReader(b)), hash: sha256.New()}
		_, err := in.readFirst()
		if err == nil {
			last := []byte(nil)
			_, err = in.readEntries(t.Context(), []byte("the proof"), func(key, _ []byte) error {
				if last != nil && bytes.Compare(last, key) >= 0 {
					t.Errorf("%q after %q", key, last)
				}
				last = append([]byte{}, key...)
				return nil
			})
		}
		if !errors.Is(err, ErrBadBackup) {
			t.Errorf("without the proof: %v", err)
		}
		if cap(in.buf) > 2*(MaxKey+MaxValue) {
			t.Errorf("%d bytes taken", cap(in.buf))
		}
	})
}
