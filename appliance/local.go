package appliance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"muster/appliance/fleet"
)

// The local socket lets doctor talk to a running server: Badger lets one process at a time into the directory.

// LocalStatus is what a running server says of itself over the local socket.
type LocalStatus struct {
	Version      string                    `json:"version"`
	URL          string                    `json:"url"`
	DeviceURL    string                    `json:"device_url"`
	SetUp        bool                      `json:"set_up"`
	Listening    string                    `json:"listening"`
	Certificates []fleet.ServerCertificate `json:"certificates"`
	Fine         []reached                 `json:"fine"` // addresses at which the server just reached itself
	PushTopic    string                    `json:"push_topic,omitempty"`
	PushEnds     *time.Time                `json:"push_ends,omitempty"`
	Backup       *time.Time                `json:"backup,omitempty"` // when the newest good one was made
	StoreBytes   int64                     `json:"store_bytes"`
	Needs        []fleet.Need              `json:"needs"`
}

func socketPath(data string) string { return filepath.Join(data, "muster.sock") }

// serveLocal listens on the socket until the returned function is called.
func (a *Appliance) serveLocal(ctx context.Context) (stop func(), err error) {
	path := socketPath(a.config.Data)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("old local socket: %w", err)
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("local socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		ln.Close()
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, r *http.Request) {
		s, err := a.status(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		json.NewEncoder(w).Encode(s)
	})
	mux.HandleFunc("POST /backup", a.serveBackup)
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: readHeaderTimeout}
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(ln) }()
	return func() { srv.Close(); <-done }, nil
}

func (a *Appliance) status(ctx context.Context) (LocalStatus, error) {
	setup, err := a.fleet.SetupState(ctx)
	if err != nil {
		return LocalStatus{}, err
	}
	if err := a.lookAtItself(ctx); err != nil {
		return LocalStatus{}, err
	}
	s := LocalStatus{Version: Version, URL: a.config.URL, DeviceURL: a.config.DeviceURL, SetUp: setup.Done, Certificates: a.tls.Certificates()}
	s.Listening, _ = a.Addrs()
	a.probe.mu.Lock()
	s.Fine = a.probe.fine
	a.probe.mu.Unlock()
	if s.StoreBytes, err = a.db.Size(); err != nil {
		return LocalStatus{}, err
	}
	push, err := a.fleet.PushCertificate(ctx)
	if err != nil {
		return LocalStatus{}, err
	}
	if push != nil {
		s.PushTopic, s.PushEnds = push.Topic, &push.NotAfter
	}
	made, err := a.fleet.Backups(ctx, fleet.Job("doctor"))
	if err != nil {
		return LocalStatus{}, err
	}
	if i := slices.IndexFunc(made, func(b *fleet.Backup) bool { return b.Verified && !b.Gone }); i >= 0 {
		s.Backup = &made[i].Created
	}
	if setup.Done {
		if s.Needs, err = a.fleet.Needs(ctx, fleet.Job("doctor")); err != nil {
			return LocalStatus{}, err
		}
	}
	return s, nil
}

// localRequest asks a running server over its socket. patience 0 waits for as long as ctx does.
func localRequest(ctx context.Context, data, method, path string, patience time.Duration) (*http.Response, error) {
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socketPath(data))
		},
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://local"+path, nil)
	if err != nil {
		return nil, err
	}
	return client.Do(req)
}

// askLocal asks a running server for its status. fs.ErrNotExist or a refused connection means that none runs.
func askLocal(ctx context.Context, data string) (*LocalStatus, error) {
	resp, err := localRequest(ctx, data, http.MethodGet, "/status", time.Minute)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s", resp.Status)
	}
	var s LocalStatus
	return &s, json.NewDecoder(resp.Body).Decode(&s)
}
