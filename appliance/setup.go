package appliance

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"muster/appliance/fleet"
	"muster/store"
)

// SetupConfig is what `muster setup` takes: the first run without a browser.
type SetupConfig struct {
	Config
	Org, AdminMail, AdminName, Contact, Language string
	TokenOut, RecoveryOut                        string
}

// ParseSetup reads the flags of `muster setup`.
func ParseSetup(args []string, out io.Writer) (SetupConfig, error) {
	var c SetupConfig
	fs := newFlagSet("setup")
	c.flags(fs)
	fs.StringVar(&c.Org, "org", "", "`name` of the organisation")
	fs.StringVar(&c.AdminMail, "admin", "", "e-mail `address` of the first administrator")
	fs.StringVar(&c.AdminName, "admin-name", "", "`name` of the first administrator (default: the address)")
	fs.StringVar(&c.Contact, "contact", "", "whom people ask for help (default: the first administrator's address)")
	fs.StringVar(&c.Language, "language", "en", "`language`: en or nl")
	fs.StringVar(&c.TokenOut, "token-out", "", "`file` for an API token with all rights (kept 30 days); none is made without it")
	fs.StringVar(&c.RecoveryOut, "recovery-out", "", "`file` for the recovery key, with which backups are opened; move it away from this machine (none is made without it)")
	if err := parseAbout(fs, args, out); err != nil {
		return SetupConfig{}, err
	}
	if c.Org == "" || c.AdminMail == "" {
		return SetupConfig{}, UsageError{"setup needs --org NAME and --admin EMAIL"}
	}
	if c.AdminName == "" {
		c.AdminName = c.AdminMail
	}
	if c.Contact == "" {
		c.Contact = c.AdminMail
	}
	c.Listen = "127.0.0.1:0"
	return c, c.complete()
}

// Setup makes the organisation and its first administrator on an empty data directory; the password is the first line of in.
// It asks nothing and shows no secret.
func Setup(ctx context.Context, c SetupConfig, in io.Reader, out io.Writer) (err error) {
	line, err := bufio.NewReader(io.LimitReader(in, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the password from standard input: %w", err)
	}
	password := strings.TrimRight(line, "\r\n")
	if password == "" {
		return UsageError{"setup reads the administrator's password from standard input, and there was none"}
	}
	a, err := Open(ctx, c.Config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close(), giveToOwner(c.Data, c.Key)) }()
	token, err := a.fleet.SetupLink(ctx, setupActor("cli"))
	if err != nil {
		return err
	}
	admin, err := a.fleet.Setup(ctx, token, "cli", fleet.SetupInput{
		Organisation: c.Org, Contact: c.Contact, Language: c.Language, URL: c.URL,
		AdminName: c.AdminName, AdminMail: c.AdminMail, Password: password,
	})
	if err != nil {
		return err
	}
	if c.TokenOut != "" {
		owner := fleet.Actor{Kind: fleet.ActorAdmin, ID: string(admin.ID), Name: admin.Name, Via: "cli", Permissions: map[fleet.Permission]bool{}, AllTags: true}
		for _, p := range fleet.AllPermissions {
			owner.Permissions[p] = true
		}
		_, secret, err := a.fleet.CreateToken(ctx, owner, "setup", fleet.AllPermissions, 30*24*time.Hour)
		if err != nil {
			return err
		}
		if err := store.WriteText(c.TokenOut, secret+"\n"); err != nil {
			return err
		}
	}
	if c.RecoveryOut != "" {
		if err := a.writeRecovery(ctx, c.Org, c.RecoveryOut); err != nil {
			return err
		}
		fmt.Fprintf(out, "The recovery key is in %s. Move it to a safe place away from this machine: without it no backup can be opened, by anyone.\n", c.RecoveryOut)
	}
	fmt.Fprintf(out, "%s is set up. Start it with: %s\n", c.Org, startCommand(c.Config))
	return nil
}

// writeRecovery makes the recovery key and writes it to a file that does not exist yet; what can be read back from there counts as kept.
func (a *Appliance) writeRecovery(ctx context.Context, org, path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s exists already: name another file for the recovery key", path)
	}
	_, err := a.fleet.SetRecovery(ctx, setupActor("cli"), func(key string) error {
		k, err := store.ParseRecoveryKey(key)
		if err != nil {
			return err
		}
		public, err := k.Public()
		if err != nil {
			return err
		}
		if err := store.WriteText(path, recoveryFile(org, public.Name(), key, a.config.Clock())); err != nil {
			return err
		}
		back, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		again, err := store.ParseRecoveryKey(string(back))
		if err == nil && again.String() != key {
			err = fmt.Errorf("%s does not hold what was written to it", path)
		}
		return err
	})
	return err
}
