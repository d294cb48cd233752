package appliance

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// benchKept is a directory in which the enrolled devices are kept for later runs (MUSTER_BENCH_KEPT): enrolling 10,000 of them takes minutes.
func benchKept() string { return os.Getenv("MUSTER_BENCH_KEPT") }

// keptWorld is what the load has to know beside what the store holds.
type keptWorld struct {
	Listen, URL, DeviceURL string
	CA                     []byte
	Token                  string
	Links                  []string
	Keys                   [][]byte // PKCS #1
	Devices, PCs           []keptDevice
}

type keptDevice struct {
	UDID string
	Cert []byte
	Key  int
}

// names of what is kept.
const (
	keptFile  = "world.json"
	keptStore = "store"
)

// keep stops the server, copies all that there is under dir, and starts it again.
func (w *benchWorld) keep(dir string) error {
	to := benchKept()
	if to == "" {
		return nil
	}
	w.server.Process.Kill()
	w.server.Wait()
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.CopyFS(filepath.Join(to, keptStore), os.DirFS(dir)); err != nil {
		return err
	}
	k := keptWorld{Listen: w.config.Listen, URL: w.url, DeviceURL: w.deviceURL, CA: w.ca, Token: w.token, Links: w.links, Devices: w.kept(w.devices), PCs: w.kept(benchPCs.list)}
	for _, key := range w.keys {
		k.Keys = append(k.Keys, x509.MarshalPKCS1PrivateKey(key))
	}
	raw, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(to, keptFile), raw, 0o600); err != nil {
		return err
	}
	w.server = w.start()
	return nil
}

func (w *benchWorld) kept(devices []*benchDevice) []keptDevice {
	var out []keptDevice
	for _, d := range devices {
		out = append(out, keptDevice{d.udid, d.identity.Certificate[0], slices.Index(w.keys, d.identity.PrivateKey.(*rsa.PrivateKey))})
	}
	return out
}

// fetchBenchWorld starts on a copy, in dir, of what an earlier run has kept; nil when it kept nothing.
func fetchBenchWorld(b *testing.B, from, dir string) (*benchWorld, error) {
	raw, err := os.ReadFile(filepath.Join(from, keptFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var k keptWorld
	if err := json.Unmarshal(raw, &k); err != nil {
		return nil, err
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(from, keptStore))); err != nil {
		return nil, err
	}
	root, err := x509.ParseCertificate(k.CA)
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	w := &benchWorld{url: k.URL, deviceURL: k.DeviceURL, roots: x509.NewCertPool(), ca: k.CA, token: k.Token, links: k.Links,
		config: Config{Data: data, Key: filepath.Join(demoKeys(data), "seal.key"), Listen: k.Listen, URL: k.URL, DeviceURL: k.DeviceURL}}
	w.roots.AddCert(root)
	if err := os.Chmod(w.config.Key, 0o600); err != nil { // which the copy has not
		return nil, err
	}
	for _, raw := range k.Keys {
		key, err := x509.ParsePKCS1PrivateKey(raw)
		if err != nil {
			return nil, err
		}
		w.keys = append(w.keys, key)
	}
	w.devices, benchPCs.list = w.fetched(k.Devices), w.fetched(k.PCs)
	w.next.Store(int64(len(w.devices)))
	w.begin(b)
	w.calm()
	return w, nil
}

// calm waits until no more pushes go out: all devices' wakes are due when a kept store is opened.
func (w *benchWorld) calm() {
	for seen := int64(-1); seen != w.pushes.Load(); time.Sleep(3 * time.Second) {
		seen = w.pushes.Load()
	}
}

func (w *benchWorld) fetched(devices []keptDevice) []*benchDevice {
	var out []*benchDevice
	for _, d := range devices {
		out = append(out, &benchDevice{udid: d.UDID, identity: tls.Certificate{Certificate: [][]byte{d.Cert}, PrivateKey: w.keys[d.Key]}})
	}
	return out
}
