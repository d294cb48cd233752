package appliance

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/kardianos/service"

	"muster/store"
)

// serviceName is what the operating system calls the service.
const serviceName = "muster"

// places are where an installed service keeps what is its own. The seal key lies apart from the data on purpose.
type places struct {
	Binary string // where install puts the program
	Data   string
	Key    string
	Env    string // file with MUSTER_… lines that the service reads; "" = settings become arguments
	Unit   string // what `muster install` writes for systemd; "" elsewhere
	User   string
}

// InstallConfig is what `muster install` takes: the flags of serve, kept for the service.
type InstallConfig struct {
	Given    map[string]string // flags of the service by name: what was given, and defaults
	Asked    []string          // names of those that were given
	Packaged bool              // the program and its unit came with a package: make user, directories and key only
}

// ParseInstall reads the flags of `muster install`.
func ParseInstall(args []string, out io.Writer) (InstallConfig, error) {
	var c Config
	in := InstallConfig{Given: map[string]string{}}
	fs := newFlagSet("install")
	c.flags(fs)
	fs.BoolVar(&in.Packaged, "packaged", false, "make user, directories, settings and key only: the package brought the rest")
	if err := parse(fs, args, out); err != nil {
		return in, err
	}
	fs.Visit(func(f *flag.Flag) {
		if f.Name != "packaged" {
			in.Given[f.Name] = f.Value.String()
		}
	})
	for _, name := range []string{"data", "key"} {
		if _, ok := in.Given[name]; ok {
			return in, UsageError{fmt.Sprintf("--%s: the service has its own place for that (%s)", name, systemPlaces().Data)}
		}
	}
	in.Asked = sortedKeys(in.Given)
	in.defaults()
	c = Config{Listen: in.Given["listen"], URL: in.Given["url"], DeviceURL: in.Given["device-url"], TLS: c.TLS, TLSCert: c.TLSCert, TLSKey: c.TLSKey, Data: "-", Key: "-"}
	return in, c.complete()
}

// defaults are those of a service: the well-known ports, and an address of their own for devices, so that browsers are not asked for certificates.
func (c *InstallConfig) defaults() {
	set := func(name, value string) {
		if c.Given[name] == "" {
			c.Given[name] = value
		}
	}
	set("listen", ":443")
	set("http", ":80")
	host := hostName()
	if u := addressOf(c.Given["url"]); c.Given["url"] != "" {
		host = u.host
	}
	_, port, _ := net.SplitHostPort(c.Given["listen"])
	if port == "443" {
		set("url", "https://"+host)
	} else {
		set("url", "https://"+net.JoinHostPort(host, port))
	}
	set("device-url", "https://"+net.JoinHostPort(host, "8443"))
}

// ErrNoManager says that this machine has no service manager that Muster can ask.
var ErrNoManager = errors.New("no service manager")

var errNoService = errors.New("Muster is no service of this machine: muster install makes it one")

// installed is the service that a command is about, for someone who may give it.
func installed(command string, p places) (service.Service, error) {
	if err := mustBeAdministrator(command); err != nil {
		return nil, err
	}
	if err := managed(); err != nil {
		return nil, err
	}
	s, err := theService(p, p.Binary, InstallConfig{})
	if err != nil {
		return nil, err
	}
	if _, err := s.Status(); errors.Is(err, service.ErrNotInstalled) {
		return nil, errNoService
	}
	return s, nil
}

// Install makes Muster a service of this machine and starts it; on a machine where it is one already it renews program and unit and restarts it.
// Data, settings and keys that are there stay as they are.
func Install(ctx context.Context, c InstallConfig, out io.Writer) error {
	if err := mustBeAdministrator("install"); err != nil {
		return err
	}
	p := systemPlaces()
	if c.Packaged {
		return errors.Join(prepareSystem(p, c, out), giveWay(p, out))
	}
	if err := managed(); err != nil {
		return err
	}
	if packaged(p) {
		return fmt.Errorf("Muster came to this machine as a package, which made it a service: change %s and muster restart; the package manager upgrades and removes it", p.Env)
	}
	if err := prepareSystem(p, c, out); err != nil {
		return err
	}
	binary, err := placeBinary(p.Binary)
	if err != nil {
		return err
	}
	s, err := theService(p, binary, c)
	if err != nil {
		return err
	}
	if _, err := s.Status(); !errors.Is(err, service.ErrNotInstalled) {
		fmt.Fprintln(out, "Muster is a service here already: its program and its unit are renewed, everything else stays.")
		s.Stop() //nolint:errcheck // it may not be running
		if err := s.Uninstall(); err != nil {
			return fmt.Errorf("taking the old unit away: %w", err)
		}
	}
	if err := s.Install(); err != nil {
		return fmt.Errorf("installing the service: %w", err)
	}
	if err := s.Start(); err != nil {
		return fmt.Errorf("starting the service: %w", err)
	}
	return Status(ctx, out, 30*time.Second)
}

// prepareSystem makes user, directories, settings and seal key, each only where it is absent.
func prepareSystem(p places, c InstallConfig, out io.Writer) error {
	if err := makeUser(p); err != nil {
		return fmt.Errorf("making the user %s: %w", p.User, err)
	}
	if err := makeDirectories(p); err != nil {
		return err
	}
	made, err := store.EnsureSealKey(p.Key)
	if err != nil {
		return err
	}
	if made {
		if err := shareKey(p); err != nil {
			return err
		}
		fmt.Fprintf(out, "The seal key is in %s. Without it nobody can read the data: keep a copy of it, and not beside the data.\n", p.Key)
	}
	if p.Env == "" {
		return nil
	}
	return c.keep(p.Env, out)
}

// keep writes the settings file where there is none. One that is there stays; what was asked for and stands there otherwise is named.
func (c InstallConfig) keep(path string, out io.Writer) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return store.WriteText(path, envFile(c.Given))
	}
	if err != nil {
		return err
	}
	has := environmentFile(string(text))
	for _, name := range c.Asked {
		if has[envName(name)] != c.Given[name] {
			fmt.Fprintf(out, "%s is there already and stays: --%s is not taken over. Set %s=%s there, then muster restart.\n", path, name, envName(name), c.Given[name])
		}
	}
	return nil
}

// envFile writes flags as the settings file of the service.
func envFile(given map[string]string) string {
	var b strings.Builder
	b.WriteString("# Settings of the Muster service, one MUSTER_<FLAG> a line (`muster serve -h` lists the flags). Restart after a change: muster restart\n")
	for _, name := range sortedKeys(given) {
		fmt.Fprintf(&b, "%s=%s\n", envName(name), given[name])
	}
	return b.String()
}

func sortedKeys(m map[string]string) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// placeBinary copies the running program to where the service starts it from, whole or not at all.
func placeBinary(to string) (string, error) {
	from, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding this program: %w", err)
	}
	if from, err = filepath.EvalSymlinks(from); err != nil {
		return "", err
	}
	if same, err := filepath.EvalSymlinks(to); err == nil && same == from {
		return to, nil
	}
	in, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer in.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return "", err
	}
	tmp := to + ".new"
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err != nil {
		return "", fmt.Errorf("copying the program: %w", err)
	}
	_, err = io.Copy(f, in)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = replaceFile(tmp, to)
	}
	if err != nil {
		os.Remove(tmp)
		return "", fmt.Errorf("copying the program to %s: %w", to, err)
	}
	return to, nil
}

// replaceFile renames over a file; Windows cannot replace a program that runs, but it can move it aside.
func replaceFile(from, to string) error {
	err := os.Rename(from, to)
	if err == nil || runtime.GOOS != "windows" {
		return err
	}
	old := to + ".old"
	os.Remove(old)
	if err := os.Rename(to, old); err != nil {
		return err
	}
	return os.Rename(from, to)
}

// Uninstall stops the service and takes its unit away. Data, settings and keys stay.
func Uninstall(out io.Writer) error {
	p := systemPlaces()
	s, err := installed("uninstall", p)
	if err != nil {
		return err
	}
	if packaged(p) {
		return errors.New("Muster came to this machine as a package: let the package manager remove it (apt remove muster, dnf remove muster). It goes on running; muster stop stops it")
	}
	s.Stop() //nolint:errcheck // it may not be running
	if err := s.Uninstall(); err != nil {
		return fmt.Errorf("removing the service: %w", err)
	}
	fmt.Fprintf(out, "Muster is no service of this machine any more. This stays, for you to keep or delete:\n  %s  everything that Muster knows, encrypted\n  %s  the seal key, without which nobody can read it\n", p.Data, p.Key)
	if p.Env != "" {
		fmt.Fprintf(out, "  %s  the settings of the service\n", p.Env)
	}
	fmt.Fprintf(out, "  %s  the program\nDevices that are enrolled stay enrolled, and wait for it to come back.\n", p.Binary)
	return nil
}

// Control starts, stops or restarts the service: "start", "stop" or "restart".
func Control(ctx context.Context, what string, out io.Writer) error {
	s, err := installed(what, systemPlaces())
	if err != nil {
		return err
	}
	if err := service.Control(s, what); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if what == "stop" {
		fmt.Fprintln(out, "Muster has stopped. Devices wait until it comes back.")
		return nil
	}
	return Status(ctx, out, 30*time.Second)
}

// Status says whether the service runs, under which addresses it is reached, and how to set it up while it is not. It waits for so long for
// a server that is starting.
func Status(ctx context.Context, out io.Writer, wait time.Duration) error {
	p := systemPlaces()
	deadline := time.Now().Add(wait)
	for {
		s, err := askLocal(ctx, p.Data)
		if err == nil {
			return tellStatus(out, p, s)
		}
		if !time.Now().Before(deadline) {
			if errors.Is(err, fs.ErrPermission) {
				return fmt.Errorf("not allowed to ask the service: try again as an administrator of this machine: %w", err)
			}
			if _, serr := os.Stat(p.Data); errors.Is(serr, fs.ErrNotExist) || gone(p) {
				return errNoService
			}
			return fmt.Errorf("Muster does not answer. %s", whereItsLogIs)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// gone says whether the service was taken away and left its data.
func gone(p places) bool {
	if managed() != nil {
		return false
	}
	s, err := theService(p, p.Binary, InstallConfig{})
	if err == nil {
		_, err = s.Status()
	}
	return errors.Is(err, service.ErrNotInstalled)
}

func tellStatus(out io.Writer, p places, s *LocalStatus) error {
	fmt.Fprintf(out, "Muster %s runs.\n  people    %s\n", s.Version, s.URL)
	if s.DeviceURL != s.URL {
		fmt.Fprintf(out, "  devices   %s\n", s.DeviceURL)
	}
	for _, a := range machineAddresses() {
		fmt.Fprintf(out, "  from near %s\n", nearAddress(a, s.Listening))
	}
	if s.SetUp {
		return nil
	}
	link, err := os.ReadFile(filepath.Join(p.Data, "setup-link"))
	if err != nil {
		fmt.Fprintf(out, "It is not set up yet. The link is in %s; a restart makes a new one.\n", filepath.Join(p.Data, "setup-link"))
		return nil
	}
	fmt.Fprintf(out, "\n%s", link)
	return nil
}

// machineAddresses are the addresses under which other machines reach this one.
func machineAddresses() []string {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var out []string
	for _, a := range list {
		n, ok := a.(*net.IPNet)
		if !ok || n.IP.IsLoopback() || n.IP.IsLinkLocalUnicast() {
			continue
		}
		out = append(out, n.IP.String())
	}
	return out
}

// nearAddress is a machine's address with the port that is listened on.
func nearAddress(ip, listening string) string {
	_, port, _ := net.SplitHostPort(listening)
	if port == "" || port == "443" {
		if strings.Contains(ip, ":") {
			ip = "[" + ip + "]"
		}
		return "https://" + ip
	}
	return "https://" + net.JoinHostPort(ip, port)
}

// theService describes the service to the operating system's manager.
func theService(p places, binary string, c InstallConfig) (service.Service, error) {
	s, err := service.New(&serving{}, serviceConfig(p, binary, c))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoManager, err)
	}
	return s, nil
}

// serving is the appliance as a service manager sees it.
type serving struct {
	run  func(ctx context.Context) error
	stop context.CancelFunc
	done chan error
}

// Start must return at once; the appliance runs beside it.
func (s *serving) Start(svc service.Service) error {
	if s.run == nil {
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.done = stop, make(chan error, 1)
	go func() {
		err := s.run(ctx)
		s.done <- err
		if err != nil && ctx.Err() == nil { // the manager starts it again
			if l, lerr := svc.Logger(nil); lerr == nil {
				l.Error(err) //nolint:errcheck // nobody else to tell
			}
			os.Exit(1)
		}
	}()
	return nil
}

// Stop waits until the appliance has given everything back.
func (s *serving) Stop(service.Service) error {
	if s.stop == nil {
		return nil
	}
	s.stop()
	return <-s.done
}

// AsService runs the appliance under a service manager that speaks to its services (Windows), else plainly.
func AsService(ctx context.Context, run func(ctx context.Context) error) error {
	if runtime.GOOS != "windows" || service.Interactive() {
		return run(ctx)
	}
	s, err := service.New(&serving{run: run}, &service.Config{Name: serviceName})
	if err != nil {
		return err
	}
	return s.Run()
}

// runTool runs a tool of the operating system; what it says is in the error.
func runTool(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
