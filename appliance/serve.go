package appliance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"

	"muster/appliance/fleet"
	"muster/store"
)

// Serve runs the appliance until ctx ends. While it was never set up it offers the one-time set-up link: to the terminal, or to
// a file that only the owner of the process can read; never to the journal.
func Serve(ctx context.Context, c Config, out io.Writer, terminal bool) error {
	a, err := Open(ctx, c)
	if err != nil {
		return err
	}
	defer a.Close()
	if err := a.offerSetup(ctx, out, terminal); err != nil {
		return err
	}
	stopLocal, err := a.serveLocal(ctx)
	if err != nil {
		return err
	}
	defer stopLocal()
	a.log.Info("muster serves", "url", a.config.URL, "device_url", a.config.DeviceURL, "listen", a.config.Listen, "version", Version)
	return a.RunProcess(ctx)
}

// offerSetup makes a link while set-up is not done.
func (a *Appliance) offerSetup(ctx context.Context, out io.Writer, terminal bool) error {
	state, err := a.fleet.SetupState(ctx)
	if err != nil {
		return err
	}
	if state.Done {
		os.Remove(a.config.SetupFile)
		return nil
	}
	token, err := a.fleet.SetupLink(ctx, setupActor("serve"))
	if err != nil {
		return err
	}
	link := a.config.URL + "/setup#" + token
	text := fmt.Sprintf("Set Muster up here, once, within an hour (a restart gives a new link):\n  %s\n", link)
	if a.tls.internal() {
		text += fmt.Sprintf("Your browser will not know the certificate yet. Its authority has the SHA-256 fingerprint\n  %s\n", a.rootFingerprint())
	}
	if terminal {
		_, err := io.WriteString(out, text)
		return err
	}
	if err := store.WriteText(a.config.SetupFile, text); err != nil {
		return fmt.Errorf("writing the set-up link: %w", err)
	}
	a.log.Info("not set up yet: the link is in a file that only this user can read", "file", a.config.SetupFile)
	return nil
}

func (a *Appliance) rootFingerprint() string {
	sum := sha256.Sum256(a.pki.Root().Raw)
	var parts []string
	for _, b := range sum {
		parts = append(parts, strings.ToUpper(hex.EncodeToString([]byte{b})))
	}
	return strings.Join(parts, ":")
}

func setupActor(via string) fleet.Actor {
	return fleet.Actor{Kind: fleet.ActorSetup, ID: "setup", Name: "setup", Via: via}
}
