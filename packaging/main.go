// Command packaging builds what Muster is released as: static binaries for each system, deb and rpm packages, and their checksums.
//
//	go run ./packaging --version 1.2.3 --out dist
//
// Debian's and Red Hat's packages make the service themselves; on Windows and macOS `muster install` does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
)

// target is a system that a binary is built for.
type target struct{ os, arch string }

var targets = []target{{"linux", "amd64"}, {"linux", "arm64"}, {"windows", "amd64"}, {"windows", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}}

// binary is the file name of a target's program.
func (t target) binary() string {
	name := fmt.Sprintf("muster-%s-%s", t.os, t.arch)
	if t.os == "windows" {
		name += ".exe"
	}
	return name
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "packaging:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("packaging", flag.ContinueOnError)
	version := flags.String("version", "0.0.0-dev", "`version` of the release, as in 1.2.3 or 1.2.3-rc1")
	dir := flags.String("out", "dist", "`directory` for what is built; it is made if absent")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		return err
	}
	var files []string
	for _, t := range targets {
		path := filepath.Join(*dir, t.binary())
		fmt.Fprintln(out, path)
		if err := build(ctx, t, *version, path); err != nil {
			return err
		}
		files = append(files, path)
		if t.os != "linux" {
			continue
		}
		for _, format := range formats {
			pkg, err := makePackage(format, t.arch, *version, path, *dir)
			if err != nil {
				return err
			}
			fmt.Fprintln(out, pkg)
			files = append(files, pkg)
		}
	}
	return writeChecksums(filepath.Join(*dir, "SHA256SUMS"), files)
}

// reproducible keeps paths of this machine out of what is built.
var reproducible = []string{"-trimpath"}

// build makes one static binary that knows its version and holds no path of the machine that it was built on.
func build(ctx context.Context, t target, version, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", slices.Concat([]string{"build"}, reproducible, []string{"-ldflags", "-s -w -X muster/appliance.stamp=" + version, "-o", path, "."})...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+t.os, "GOARCH="+t.arch)
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building for %s/%s: %w\n%s", t.os, t.arch, err, said)
	}
	return nil
}

// moduleRoot is the directory of go.mod.
func moduleRoot() (string, error) {
	said, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	mod := filepath.Clean(string(said[:max(len(said)-1, 0)]))
	if filepath.Base(mod) != "go.mod" {
		return "", errors.New("run it inside Muster's source")
	}
	return filepath.Dir(mod), nil
}
