package store

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// keysFile is the name of the file, in the data directory, that holds the wrapped keys.
const keysFile = "keys"

// sealKeyHead begins the one line of a seal key file; the key follows in base64.
const sealKeyHead = "muster-seal-key-1 "

// Keys are the keys of one data directory.
type Keys struct {
	Store   []byte // 32 bytes, Options.Key
	Secrets []byte // 32 bytes, Options.SecretsKey
}

// wrapped is the JSON form of the keys file.
type wrapped struct {
	Format  int    `json:"format"` // 1
	Store   []byte `json:"store"`  // sealed with the seal key
	Secrets []byte `json:"secrets"`
}

// OpenKeys reads the keys of dataDir with the seal key at sealKeyPath: a file, or "env:NAME" for the value of a variable. When there is no data yet it makes
// what is missing: the seal key (mode 0600) and the keys file, both written whole and synced.
//
// It fails with ErrKeyPlace when the seal key lies inside dataDir (links followed) or may be read by every
// user of the machine, with ErrKeyMissing when one half is lost, and with ErrWrongKey when the halves do not
// belong together.
func OpenKeys(dataDir, sealKeyPath string) (Keys, error) {
	if err := checkPlace(dataDir, sealKeyPath); err != nil {
		return Keys{}, err
	}
	path := filepath.Join(dataDir, keysFile)
	file, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Keys{}, fmt.Errorf("store: read keys: %w", err)
	}
	have := err == nil
	seal, err := readSealKey(sealKeyPath)
	switch {
	case errors.Is(err, fs.ErrNotExist) && have:
		return Keys{}, fmt.Errorf("%w: %s is absent, and without it the data in %s cannot be read; put it back from where it is kept safe",
			ErrKeyMissing, sealKeyPath, dataDir)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return Keys{}, err
	}
	if have {
		return unwrap(path, file, seal)
	}
	if _, statErr := os.Stat(filepath.Join(dataDir, engineDir, "KEYREGISTRY")); statErr == nil {
		return Keys{}, fmt.Errorf("%w: %s is absent, and without it the data beside it cannot be read; put it back from a backup",
			ErrKeyMissing, path)
	}
	if err != nil {
		if seal, err = makeSealKey(sealKeyPath); err != nil {
			return Keys{}, err
		}
	}
	keys := Keys{Store: randomKey(), Secrets: randomKey()}
	if err := writeKeys(path, keys, seal); err != nil {
		return Keys{}, err
	}
	return keys, nil
}

// EnsureSealKey makes the seal key at path, with mode 0600, where there is none; made says whether it did. What is there is checked and left alone.
func EnsureSealKey(path string) (made bool, err error) {
	_, err = readSealKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = makeSealKey(path)
		return err == nil, err
	}
	return false, err
}

// RotateSealKey wraps the keys of dataDir with the seal key at newPath, which is made when absent. The data
// itself is not written again. The old seal key file is left where it is and opens nothing afterwards, save
// older copies of the keys file.
func RotateSealKey(dataDir, oldPath, newPath string) error {
	if err := checkPlace(dataDir, newPath); err != nil {
		return err
	}
	path := filepath.Join(dataDir, keysFile)
	file, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("store: read keys: %w", err)
	}
	old, err := readSealKey(oldPath)
	if err != nil {
		return err
	}
	keys, err := unwrap(path, file, old)
	if err != nil {
		return err
	}
	next, err := readSealKey(newPath)
	if errors.Is(err, fs.ErrNotExist) {
		next, err = makeSealKey(newPath)
	}
	if err != nil {
		return err
	}
	if bytes.Equal(old, next) {
		return fmt.Errorf("store: %s holds the same key as %s", newPath, oldPath)
	}
	return writeKeys(path, keys, next)
}

// CheckSealKey tells whether the seal key opens the keys of dataDir. It makes and changes nothing.
func CheckSealKey(dataDir, sealKeyPath string) error {
	path := filepath.Join(dataDir, keysFile)
	file, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("store: read keys: %w", err)
	}
	seal, err := readSealKey(sealKeyPath)
	if err != nil {
		return err
	}
	_, err = unwrap(path, file, seal)
	return err
}

// sealKeyInEnvironment begins a seal key's place when it is the value of a variable of the environment instead of a file.
const sealKeyInEnvironment = "env:"

// checkPlace refuses a seal key inside the data directory, for then whoever copies the one has the other.
func checkPlace(dataDir, sealKeyPath string) error {
	dir, err := resolve(dataDir)
	if err != nil {
		return err
	}
	if sealKeyPath == "" {
		return fmt.Errorf("%w: no path given", ErrKeyMissing)
	}
	if strings.HasPrefix(sealKeyPath, sealKeyInEnvironment) {
		return nil
	}
	key, err := resolve(sealKeyPath)
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(dir, key)
	if err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return fmt.Errorf("%w: %s is inside the data directory %s", ErrKeyPlace, sealKeyPath, dataDir)
	}
	return nil
}

// resolve returns the absolute path with links followed as far as it exists.
func resolve(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("store: resolve %s: %w", path, err)
	}
	for range 255 {
		real, err := filepath.EvalSymlinks(abs)
		if err == nil {
			return real, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("store: resolve %s: %w", path, err)
		}
		target, err := os.Readlink(abs)
		if err != nil { // absent itself: what counts is where its directory is
			dir, err := resolve(filepath.Dir(abs))
			return filepath.Join(dir, filepath.Base(abs)), err
		}
		if !filepath.IsAbs(target) { // a link to what does not exist yet
			target = filepath.Join(filepath.Dir(abs), target)
		}
		abs = target
	}
	return "", fmt.Errorf("store: resolve %s: too many links", path)
}

// readSealKey reads a seal key file. Its error is fs.ErrNotExist when there is none.
func readSealKey(path string) ([]byte, error) {
	if name, ok := strings.CutPrefix(path, sealKeyInEnvironment); ok {
		value := os.Getenv(name)
		if value == "" {
			return nil, fmt.Errorf("store: the environment has no %s: %w", name, fs.ErrNotExist)
		}
		return parseSealKey(path, value)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("store: read seal key: %w", err)
	}
	// The group's bits may be the mask of an access list, as on systemd's credentials: only others' count.
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("%w: every user of this machine may use %s (mode %04o); set it to 0600", ErrKeyPlace, path, info.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("store: read seal key: %w", err)
	}
	return parseSealKey(path, string(b))
}

func parseSealKey(path, text string) ([]byte, error) {
	line := strings.TrimSpace(text)
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(line, sealKeyHead))
	if err != nil || !strings.HasPrefix(line, sealKeyHead) || len(key) != chacha20poly1305.KeySize {
		return nil, fmt.Errorf("%w: %s is not a seal key file", ErrWrongKey, path)
	}
	return key, nil
}

// makeSealKey writes a new seal key to path, which must not exist.
func makeSealKey(path string) ([]byte, error) {
	if strings.HasPrefix(path, sealKeyInEnvironment) {
		return nil, fmt.Errorf("%w: %s is not set, and a key cannot be made in the environment: make a file with it first", ErrKeyMissing, strings.TrimPrefix(path, sealKeyInEnvironment))
	}
	key := randomKey()
	line := sealKeyHead + base64.StdEncoding.EncodeToString(key) + "\n"
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("store: create seal key: %w", err)
	}
	if err := WriteWhole(path, true, holding([]byte(line))); err != nil {
		return nil, fmt.Errorf("store: create seal key: %w", err)
	}
	return key, nil
}

// writeKeys wraps keys with the seal key and replaces the keys file.
func writeKeys(path string, keys Keys, seal []byte) error {
	s, err := newSealer(seal)
	if err != nil {
		return err
	}
	b, err := json.Marshal(wrapped{
		Format:  1,
		Store:   s.Seal(keysFile, "store", keys.Store),
		Secrets: s.Seal(keysFile, "secrets", keys.Secrets),
	})
	if err != nil {
		return fmt.Errorf("store: encode keys: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("store: write keys: %w", err)
	}
	if err := WriteWhole(path, false, holding(append(b, '\n'))); err != nil {
		return fmt.Errorf("store: write keys: %w", err)
	}
	return nil
}

// unwrap opens the contents of the keys file at path.
func unwrap(path string, file, seal []byte) (Keys, error) {
	var w wrapped
	if err := json.Unmarshal(file, &w); err != nil || w.Format != 1 {
		return Keys{}, fmt.Errorf("%w: %s is not a keys file of this program", ErrForeign, path)
	}
	s, err := newSealer(seal)
	if err != nil {
		return Keys{}, err
	}
	var keys Keys
	keys.Store, err = s.Open(keysFile, "store", w.Store)
	if err == nil {
		keys.Secrets, err = s.Open(keysFile, "secrets", w.Secrets)
	}
	if err != nil {
		return Keys{}, fmt.Errorf("%w: the seal key is not the one that %s was made with, or that file is damaged", ErrWrongKey, path)
	}
	return keys, nil
}

func randomKey() []byte {
	key := make([]byte, chacha20poly1305.KeySize)
	_, _ = rand.Read(key) // never fails, see crypto/rand
	return key
}

// syncDir makes a rename in dir durable. Windows has no such thing.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}
