package appliance

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micromdm/plist"
)

// connections is how many connections the load keeps open.
const connections = 16

// load spreads b.N calls over the connections and reports rate and latency.
func load(b *testing.B, w *benchWorld, perCall int, do func(conn, i int) error) {
	b.Helper()
	latency := make([][]time.Duration, connections)
	var next atomic.Int64
	var failed atomic.Value
	var wg sync.WaitGroup
	b.ResetTimer()
	own := processorOf("self")
	spent, syncs, pushes, start := w.processor(), w.syncs(b), w.pushes.Load(), time.Now()
	for conn := range connections {
		wg.Go(func() {
			for failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= b.N {
					return
				}
				begin := time.Now()
				if err := do(conn, i); err != nil {
					failed.CompareAndSwap(nil, err)
				}
				latency[conn] = append(latency[conn], time.Since(begin))
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	b.StopTimer()
	own = processorOf("self") - own
	spent, syncs, pushes = w.processor()-spent, w.syncs(b)-syncs, w.pushes.Load()-pushes
	if err, ok := failed.Load().(error); ok {
		b.Fatal(err)
	}
	var all []time.Duration
	for _, l := range latency {
		all = append(all, l...)
	}
	slices.Sort(all)
	b.ReportMetric(float64(b.N*perCall)/took.Seconds(), "req/s")
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000/float64(perCall), "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000/float64(perCall), "p99-ms")
	b.ReportMetric(float64(spent.Microseconds())/float64(b.N*perCall), "server-us/req")
	b.ReportMetric(float64(own.Microseconds())/float64(b.N*perCall), "load-us/req")
	b.ReportMetric(syncs/float64(b.N*perCall), "syncs/req")
	b.ReportMetric(float64(pushes), "pushes")
	now, peak := w.resident()
	b.ReportMetric(now, "MB-now")
	b.ReportMetric(peak, "MB-peak")
}

// syncs is how many durable commits the server has made.
func (w *benchWorld) syncs(b *testing.B) float64 {
	b.Helper()
	page, err := read(w.people().Get("http://" + w.metrics + "/metrics"))
	if err != nil {
		b.Fatal(err)
	}
	m := syncsTotal.FindStringSubmatch(page)
	if m == nil {
		b.Fatal("no count of syncs among the metrics")
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

var syncsTotal = regexp.MustCompile(`(?m)^\w*store_syncs_total (\S+)$`)

// idle has nothing to report.
func (d *benchDevice) idle() []byte { return message("Status", "Idle", "UDID", d.udid) }

// drain answers commands until there are none, so that the device is idle afterwards. It returns how many requests that took.
func (w *benchWorld) drain(d *benchDevice) (int, error) {
	answer, err := w.send(d, "connect", d.idle())
	n := 1
	for ; err == nil && len(answer) > 0; n++ {
		if n > 60 {
			return n, fmt.Errorf("%s never becomes idle: %.600s", d.udid, answer)
		}
		answer, err = w.send(d, "connect", d.obey(answer))
	}
	return n, err
}

// obey answers one command as a willing phone would, with as little as possible in it.
func (d *benchDevice) obey(command []byte) []byte {
	answer := map[string]any{"Status": "Acknowledged", "UDID": d.udid, "CommandUUID": lastOf(command, "CommandUUID")}
	switch lastOf(command, "RequestType") {
	case "DeviceInformation":
		answer["QueryResponses"] = map[string]any{"OSVersion": "26.1", "ModelName": "iPhone", "ProductName": "iPhone15,2"}
	case "SecurityInfo":
		answer["SecurityInfo"] = map[string]any{"PasscodePresent": true}
	case "InstallProfile":
		d.keep(command)
	case "ProfileList":
		answer["ProfileList"] = d.profiles()
	case "CertificateList":
		answer["CertificateList"] = []any{}
	case "InstalledApplicationList":
		answer["InstalledApplicationList"] = []any{}
	case "ManagedApplicationList":
		answer["ManagedApplicationList"] = map[string]any{}
	}
	var out strings.Builder
	plist.NewEncoder(&out).Encode(answer)
	return []byte(out.String())
}

// settled makes the first n devices idle, with their connections open.
func (w *benchWorld) settled(b *testing.B, n int) []*benchDevice {
	b.Helper()
	devices := w.devices[:min(n, len(w.devices))]
	if err := parallel(connections, len(devices), func(_, i int) error {
		_, err := w.drain(devices[i])
		return err
	}); err != nil {
		b.Fatal(err)
	}
	return devices
}

// BenchmarkIdleCheckIn: a device with nothing to report and nothing to do, over mutual TLS, connections kept.
func BenchmarkIdleCheckIn(b *testing.B) {
	w := theBenchWorld(b)
	devices := w.settled(b, connections)
	load(b, w, 1, func(conn, _ int) error {
		d := devices[conn]
		answer, err := w.send(d, "connect", d.idle())
		if err == nil && len(answer) > 0 {
			err = fmt.Errorf("not idle: %.300s", answer)
		}
		return err
	})
}

// BenchmarkFreshHandshake: as above, with a new TLS handshake for each check-in, RSA-2048 identities, no resumption.
func BenchmarkFreshHandshake(b *testing.B) {
	w := theBenchWorld(b)
	devices := w.settled(b, connections)
	load(b, w, 1, func(conn, _ int) error {
		d := devices[conn]
		d.hangUp()
		_, err := w.send(d, "connect", d.idle())
		return err
	})
}

// BenchmarkAuthenticateTokenUpdate: both check-in messages, each acknowledged durably.
func BenchmarkAuthenticateTokenUpdate(b *testing.B) {
	w := theBenchWorld(b)
	devices := w.devices[len(w.devices)-min(connections, len(w.devices)):]
	for _, d := range devices {
		if err := w.connected(d); err != nil {
			b.Fatal(err)
		}
	}
	load(b, w, 2, func(conn, _ int) error {
		d := devices[conn]
		if _, err := w.send(d, "checkin", d.authenticate(demoTopic)); err != nil {
			return err
		}
		_, err := w.send(d, "checkin", d.tokenUpdate(demoTopic))
		return err
	})
}

// BenchmarkCommandAcknowledge: freshly enrolled devices fetch and acknowledge all that is wanted of them: queries, the passcode
// profile, the profile with root, identity and mail, and the read-back.
func BenchmarkCommandAcknowledge(b *testing.B) {
	w := theBenchWorld(b)
	work := make(chan *benchDevice, len(w.devices))
	for _, d := range w.devices[connections : len(w.devices)-connections] {
		work <- d
	}
	type run struct {
		d      *benchDevice
		answer []byte
	}
	runs := make([]run, connections)
	load(b, w, 1, func(conn, _ int) error {
		r := &runs[conn]
		if r.d == nil {
			select {
			case r.d = <-work:
			default:
				return fmt.Errorf("all %d devices are done: more devices are needed for this many requests", len(w.devices))
			}
		}
		body := r.d.idle()
		if r.answer != nil {
			body = r.d.obey(r.answer)
		}
		answer, err := w.send(r.d, "connect", body)
		if err != nil {
			return err
		}
		r.answer = answer
		if len(answer) == 0 {
			r.d.hangUp()
			r.d, r.answer = nil, nil
		}
		return nil
	})
}

// BenchmarkSyncAcknowledge: devices on kept connections are told to synchronise, by the API, and answer one query after another. The
// orders are given while the clock runs, and are not counted.
func BenchmarkSyncAcknowledge(b *testing.B) {
	w := theBenchWorld(b)
	devices := w.settled(b, connections)
	ids := make([]string, len(devices))
	for i, d := range devices {
		id, err := w.idOf(d)
		if err != nil {
			b.Fatal(err)
		}
		ids[i] = id
	}
	answers := make([][]byte, len(devices))
	load(b, w, 1, func(conn, _ int) error {
		d := devices[conn]
		body := d.idle()
		if answers[conn] != nil {
			body = d.obey(answers[conn])
		} else if err := w.call("POST", "/devices/"+ids[conn]+"/actions", `{"action":"sync"}`, nil); err != nil {
			return err
		}
		answer, err := w.send(d, "connect", body)
		answers[conn] = nil
		if len(answer) > 0 {
			answers[conn] = answer
		}
		return err
	})
}

// BenchmarkSCEP: certificates issued from requests that were made beforehand.
func BenchmarkSCEP(b *testing.B) {
	w := theBenchWorld(b)
	type request struct {
		message []byte
		url     string
		finish  func([]byte) error
	}
	requests := make([]request, b.N)
	if err := parallel(connections, b.N, func(_, i int) error {
		profile, err := w.profile()
		if err != nil {
			return err
		}
		key := w.keys[i%len(w.keys)]
		message, finish, err := w.scepMessage(profile, key)
		requests[i] = request{message, profile.scepURL, func(raw []byte) error { _, err := finish(raw); return err }}
		return err
	}); err != nil {
		b.Fatal(err)
	}
	answers := make([][]byte, b.N)
	load(b, w, 1, func(_, i int) error {
		resp, err := w.people().Post(requests[i].url+"?operation=PKIOperation", "application/x-pki-message", strings.NewReader(string(requests[i].message)))
		if err != nil {
			return err
		}
		body, err := read(resp, nil)
		answers[i] = []byte(body)
		return err
	})
	for i := range answers {
		if err := requests[i].finish(answers[i]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAtRest reports the memory of the server some time after the load.
func BenchmarkAtRest(b *testing.B) {
	w := theBenchWorld(b)
	for b.Loop() {
		time.Sleep(100 * time.Second)
	}
	now, peak := w.resident()
	b.ReportMetric(now, "MB-now")
	b.ReportMetric(peak, "MB-peak")
	b.ReportMetric(float64(len(w.devices)), "devices")
}

// BenchmarkColdStart: from kill -9 to a server that answers again, on the store of all devices.
func BenchmarkColdStart(b *testing.B) {
	w := theBenchWorld(b)
	for b.Loop() {
		b.StopTimer()
		w.server.Process.Kill()
		w.server.Wait()
		b.StartTimer()
		w.server = w.start()
		if _, err := read(w.people().Get(w.url + "/readyz")); err != nil {
			b.Fatal(err)
		}
	}
	for _, d := range w.devices {
		d.hangUp()
	}
	b.ReportMetric(float64(len(w.devices)), "devices")
}
