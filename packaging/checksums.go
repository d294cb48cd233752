package main

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// writeChecksums writes a list that `sha256sum -c` reads.
func writeChecksums(path string, files []string) error {
	var b strings.Builder
	for _, name := range files {
		sum, err := checksum(name)
		if err != nil {
			return err
		}
		b.WriteString(sum + "  " + filepath.Base(name) + "\n")
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

func checksum(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
