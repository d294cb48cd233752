package main

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // registers itself
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm" // registers itself

	"muster/packaging/unit"
)

// formats are the kinds of packages that are made for Linux.
var formats = []string{"deb", "rpm"}

var (
	//go:embed files/muster.1
	manPage []byte
	//go:embed files/muster.bash
	bashCompletion []byte
	//go:embed files/muster.zsh
	zshCompletion []byte
	//go:embed files/muster.fish
	fishCompletion []byte
	//go:embed files/postinstall.sh
	postInstall []byte
	//go:embed files/preremove.sh
	preRemove []byte
	//go:embed files/postremove.sh
	postRemove []byte
)

// makePackage makes one package around a built binary and returns its path.
func makePackage(format, arch, version, binary, dir string) (path string, err error) {
	scratch, err := os.MkdirTemp("", "muster-packaging-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(scratch)
	put := func(name string, content []byte) string {
		p := filepath.Join(scratch, name)
		err = errors.Join(err, os.WriteFile(p, content, 0o644))
		return p
	}
	file := func(source, to string, mode os.FileMode) *files.Content {
		return &files.Content{Source: source, Destination: to, FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: mode}}
	}
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: "muster", Arch: arch, Platform: "linux", Version: version, Section: "admin", Maintainer: "Muster <muster@localhost>", License: "MIT",
		Description: "Device management for a small organisation\nMuster manages the phones and computers of a small organisation: one program, on one machine of your own.",
		Overridables: nfpm.Overridables{
			Recommends: []string{"ca-certificates"},
			Contents: files.Contents{
				file(binary, "/usr/bin/muster", 0o755),
				file(put("muster.service", []byte(unit.Systemd("/usr/bin/muster"))), "/usr/lib/systemd/system/muster.service", 0o644),
				file(put("muster.1.gz", zipped(manPage)), "/usr/share/man/man1/muster.1.gz", 0o644),
				file(put("muster.bash", bashCompletion), "/usr/share/bash-completion/completions/muster", 0o644),
				file(put("muster.zsh", zshCompletion), "/usr/share/zsh/vendor-completions/_muster", 0o644),
				file(put("muster.fish", fishCompletion), "/usr/share/fish/vendor_completions.d/muster.fish", 0o644),
			},
			Scripts: nfpm.Scripts{PostInstall: put("postinstall.sh", postInstall), PreRemove: put("preremove.sh", preRemove), PostRemove: put("postremove.sh", postRemove)},
		},
	})
	if err != nil {
		return "", err
	}
	if err := nfpm.PrepareForPackager(info, format); err != nil {
		return "", fmt.Errorf("%s for %s: %w", format, arch, err)
	}
	packager, err := nfpm.Get(format)
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, packager.ConventionalFileName(info))
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	err = errors.Join(packager.Package(info, f), f.Close())
	if err != nil {
		os.Remove(path)
		return "", fmt.Errorf("%s for %s: %w", format, arch, err)
	}
	return path, nil
}

// zipped is how manual pages are installed.
func zipped(b []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	w.Write(b) //nolint:errcheck // a bytes.Buffer takes everything
	w.Close()
	return out.Bytes()
}

// commands are what the shells complete; a test holds them against the program's help.
func commands(completion []byte) []string {
	_, rest, _ := strings.Cut(string(completion), "commands='")
	list, _, _ := strings.Cut(rest, "'")
	return strings.Fields(list)
}
