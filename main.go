// Command muster is a self-hosted device-management appliance: one binary that enrols, configures and retires the phones and
// computers of a small organisation.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"muster/appliance"
)

const help = `Muster manages the phones and computers of a small organisation.

  muster demo       try everything with simulated devices; touches nothing real
  muster serve      run the appliance; the first time it prints a link to set it up
  muster setup      set it up without a browser (password on standard input)
  muster backup     write everything to one encrypted file, while the server runs
  muster restore    put a backup on this machine, with the recovery key
  muster seal-key   try the key that seals the data, or go over to a new one
  muster install    make it a service of this machine; start, stop, restart, status and uninstall go with it
  muster doctor     check names, ports, clock, certificates and store, and say what to do
  muster simulate   enrol simulated devices against a server
  muster version    say what this binary is

muster COMMAND -h lists the flags of a command; each can be set as MUSTER_<FLAG> in the environment too.
`

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, appliance.ErrorOutput()))
}

// run is main without the process around it.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	if len(args) == 0 {
		io.WriteString(out, help)
		return exitDone
	}
	err := command(ctx, args[0], args[1:], in, out, errOut)
	var usage appliance.UsageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, appliance.ErrHelp):
		return exitDone
	case errors.As(err, &usage):
		fmt.Fprintf(errOut, "muster: %v\nTry: muster %s -h\n", err, args[0])
		return exitUsage
	}
	fmt.Fprintf(errOut, "muster: %v\n", err)
	return exitFailed
}

func command(ctx context.Context, name string, args []string, in io.Reader, out, errOut io.Writer) error {
	switch name {
	case "serve":
		c, err := appliance.ParseServe(args, out)
		if err != nil {
			return err
		}
		return appliance.AsService(ctx, func(ctx context.Context) error { return appliance.Serve(ctx, c, out, isTerminal(out)) })
	case "install":
		c, err := appliance.ParseInstall(args, out)
		if err != nil {
			return err
		}
		return appliance.Install(ctx, c, out)
	case "uninstall", "start", "stop", "restart", "status":
		return service(ctx, name, args, out)
	case "demo":
		c, err := appliance.ParseDemo(args, out)
		if err != nil {
			return err
		}
		return appliance.Demo(ctx, c, out)
	case "setup":
		c, err := appliance.ParseSetup(args, out)
		if err != nil {
			return err
		}
		return appliance.Setup(ctx, c, in, out)
	case "backup":
		c, err := appliance.ParseBackup(args, out)
		if err != nil {
			return err
		}
		return appliance.Backup(ctx, c, out)
	case "restore":
		c, err := appliance.ParseRestore(args, out)
		if err != nil {
			return err
		}
		return appliance.Restore(ctx, c, out)
	case "seal-key":
		c, err := appliance.ParseSealKey(args, out)
		if err != nil {
			return err
		}
		return appliance.SealKey(ctx, c, out)
	case "doctor":
		c, err := appliance.ParseDoctor(args, out)
		if err != nil {
			return err
		}
		return appliance.Doctor(ctx, c, out)
	case "simulate":
		c, err := appliance.ParseSimulate(args, out)
		if err != nil {
			return err
		}
		return appliance.Simulate(ctx, c, out, slog.New(slog.NewTextHandler(errOut, nil)))
	case "version":
		fmt.Fprintln(out, appliance.Build())
		return nil
	case "help", "-h", "--help":
		io.WriteString(out, help)
		return nil
	}
	return appliance.UsageError{Hint: fmt.Sprintf("there is no command %q", name)}
}

// service runs the commands about the installed service that take no flags.
func service(ctx context.Context, name string, args []string, out io.Writer) error {
	if len(args) > 0 {
		return appliance.UsageError{Hint: fmt.Sprintf("unexpected argument %q", args[0])}
	}
	switch name {
	case "uninstall":
		return appliance.Uninstall(out)
	case "status":
		return appliance.Status(ctx, out, 0)
	}
	return appliance.Control(ctx, name, out)
}

// isTerminal says whether a person reads w. /dev/null is a character device too, and nobody reads it.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
