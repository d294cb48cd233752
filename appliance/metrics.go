package appliance

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"muster/appliance/fleet"
	"muster/store"
)

// scraped is what GET /metrics tells. No label names a device, a person or an address of either; a registry of its own keeps two appliances
// in one process apart.
type scraped struct {
	a        *Appliance
	handler  http.Handler
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec

	mu     sync.Mutex // of the census
	census *fleet.Census
	at     time.Time
}

// censusFresh is how long what takes a walk over the store serves.
const censusFresh = 5 * time.Minute

func (a *Appliance) newMetrics() *scraped {
	m := &scraped{a: a,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "muster_http_requests_total", Help: "Requests answered, by class of route."}, []string{"class", "status"}),
		took: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "muster_http_request_seconds", Help: "Time to answer, by class of route.",
			Buckets: []float64{.001, .005, .02, .1, .5, 2, 10}}, []string{"class"}),
	}
	r := prometheus.NewRegistry()
	r.MustRegister(m.requests, m.took, m, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorLog: nil, ErrorHandling: promhttp.ContinueOnError})
	return m
}

// desc is a measure without fixed labels.
func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("muster_"+name, help, labels, nil)
}

var (
	mBuild      = desc("build_info", "Which build runs.", "version")
	mExchanges  = desc("exchanges_total", "Check-ins of devices by what came of them.", "outcome")
	mPushes     = desc("pushes_total", "Pushes that wake devices, by result.", "platform", "result")
	mDevices    = desc("devices", "Devices by state.", "state")
	mPlatforms  = desc("devices_by_platform", "Devices by platform.", "platform")
	mDeliveries = desc("profile_deliveries", "Profiles on devices by status.", "status")
	mOrders     = desc("orders", "Orders to devices by state.", "state")
	mEnding     = desc("certificates_ending", "Live certificates that end within so many days.", "days")
	mOwnCert    = desc("own_certificate_ends_seconds", "When a certificate of the appliance itself ends, as Unix time.", "kind", "name")
	mNeeds      = desc("needs", "Things that need a person, by kind.", "code", "severity")
	mJobEnded   = desc("job_ended_seconds", "When a job last ended, as Unix time.", "job")
	mJobTook    = desc("job_seconds", "How long the last run of a job took.", "job")
	mJobFailed  = desc("job_failed", "1 when the last run of a job failed.", "job")
	mSyncs      = desc("store_syncs_total", "Durable commits.")
	mSyncTime   = desc("store_sync_seconds_total", "Time spent in durable commits.")
	mUpdates    = desc("store_updates_total", "Updates by outcome.", "outcome")
	mWaiting    = desc("store_updates_waiting", "Updates in the queue.")
	mStoreBytes = desc("store_bytes", "What the store takes on the disk.")
	mTables     = desc("store_tables", "Files of the ordered tree.")
	mFailed     = desc("store_failed", "1 when a commit failed and writes are refused.")
	mFree       = desc("disk_free_bytes", "Free space under the data directory.")
)

// Describe says nothing in advance: which labels there are depends on what happened.
func (m *scraped) Describe(chan<- *prometheus.Desc) {}

// Collect asks every part for its numbers. A part that does not answer is left out: the others matter then.
func (m *scraped) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	me := fleet.Job("metrics")
	gauge(mBuild, 1, Version)
	for t, n := range m.a.fleet.Tallies() {
		if t.What == fleet.TallyPush {
			counter(mPushes, float64(n), t.Of, t.Result)
		} else {
			counter(mExchanges, float64(n), t.Result)
		}
	}
	if c, err := m.counted(ctx, me); err != nil {
		m.a.log.Warn("metrics: census", "err", err)
	} else {
		for s, n := range c.Counts.ByState {
			gauge(mDevices, float64(n), string(s))
		}
		for p, n := range c.Counts.ByPlatform {
			gauge(mPlatforms, float64(n), string(p))
		}
		for s, n := range c.Counts.Statuses {
			gauge(mDeliveries, float64(n), string(s))
		}
		for s, n := range c.Orders {
			gauge(mOrders, float64(n), string(s))
		}
		for _, days := range fleet.CensusDays {
			gauge(mEnding, float64(c.Ending[days]), strconv.Itoa(days))
		}
	}
	m.ownCertificates(ctx, gauge)
	if needs, err := m.a.fleet.Needs(ctx, me); err != nil {
		m.a.log.Warn("metrics: needs", "err", err)
	} else {
		type kind struct{ code, severity string }
		n := map[kind]int{}
		for _, x := range needs {
			n[kind{x.Reason.Code, x.Severity}]++
		}
		for k, v := range n {
			gauge(mNeeds, float64(v), k.code, k.severity)
		}
	}
	if jobs, err := m.a.fleet.Jobs(ctx, me); err != nil {
		m.a.log.Warn("metrics: jobs", "err", err)
	} else {
		for _, j := range jobs {
			if j.Last == nil || j.Last.Ended == nil {
				continue
			}
			gauge(mJobEnded, float64(j.Last.Ended.Unix()), j.Name)
			gauge(mJobTook, j.Last.Ended.Sub(j.Last.Started).Seconds(), j.Name)
			gauge(mJobFailed, oneIf(j.Last.Outcome == "failed"), j.Name)
		}
	}
	s := m.a.db.Stats()
	counter(mSyncs, float64(s.Syncs))
	counter(mSyncTime, s.CommitSeconds)
	counter(mUpdates, float64(s.Updates), "done")
	counter(mUpdates, float64(s.Refused), "refused")
	gauge(mWaiting, float64(s.Waiting))
	gauge(mTables, float64(s.Tables))
	gauge(mFailed, oneIf(s.Failed))
	if size, err := m.a.db.Size(); err == nil {
		gauge(mStoreBytes, float64(size))
	}
	if free, ok := store.FreeBytes(m.a.config.Data); ok {
		gauge(mFree, float64(free))
	}
}

// ownCertificates are those whose end stops everything.
func (m *scraped) ownCertificates(ctx context.Context, gauge func(*prometheus.Desc, float64, ...string)) {
	for _, c := range m.a.tls.Certificates() {
		gauge(mOwnCert, float64(c.NotAfter.Unix()), "tls", c.Name)
	}
	gauge(mOwnCert, float64(m.a.pki.Issuing().NotAfter.Unix()), "issuing", "")
	gauge(mOwnCert, float64(m.a.pki.Root().NotAfter.Unix()), "root", "")
	if p, err := m.a.fleet.PushCertificate(ctx); err == nil && p != nil {
		gauge(mOwnCert, float64(p.NotAfter.Unix()), "push", "")
	}
}

func oneIf(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// counted is the census, at most five minutes old.
func (m *scraped) counted(ctx context.Context, a fleet.Actor) (*fleet.Census, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if age := m.a.config.Clock().Sub(m.at); m.census != nil && age >= 0 && age < censusFresh {
		return m.census, nil
	}
	c, err := m.a.fleet.Census(ctx, a)
	if err == nil {
		m.census, m.at = c, m.a.config.Clock()
	}
	return c, err
}

// serve answers GET /metrics on the doors that everybody reaches: to tokens that may read the settings. Where a request comes from says nothing there: a proxy
// on this machine that passes TLS through makes everybody one of this machine.
func (m *scraped) serve(w http.ResponseWriter, r *http.Request) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	host, _, _ := net.SplitHostPort(r.RemoteAddr)
	actor, err := m.a.fleet.AuthenticateToken(r.Context(), strings.TrimSpace(token), host)
	if !strings.EqualFold(scheme, "Bearer") || err != nil || !actor.MayWhole(fleet.SettingsRead) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="muster"`)
		plain(w, http.StatusUnauthorized, "an API token that may read settings, or the address that --metrics names")
		return
	}
	m.write(w, r)
}

func (m *scraped) write(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	m.handler.ServeHTTP(w, r)
}

// metricsRoutes are those of the listener that --metrics names: for programs on this machine, without a token. A name that only leads here is refused, so
// that no page of a stranger reads them through a browser on this machine.
func (a *Appliance) metricsRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", a.metrics.write)
	mux.HandleFunc("GET /readyz", a.readyWithNeeds)
	return asDeclared(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if !isLoopback(host) {
			plain(w, http.StatusMisdirectedRequest, "for programs on this machine")
			return
		}
		mux.ServeHTTP(w, r)
	}))
}

// isLoopback says whether an address or a name means this machine and nothing else.
func isLoopback(host string) bool {
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// measure counts what h answers, by class of route.
func (m *scraped) measure(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		class := routeClass(r.URL.Path)
		to := &statusKeeper{ResponseWriter: w}
		defer func() {
			if to.status == 0 {
				to.status = http.StatusOK
			}
			m.requests.WithLabelValues(class, strconv.Itoa(to.status/100)+"xx").Inc()
			if class != "live" { // a live page is open for as long as somebody looks
				m.took.WithLabelValues(class).Observe(time.Since(began).Seconds())
			}
		}()
		h.ServeHTTP(to, r)
	})
}

// routeClasses are the beginnings of paths, the first that fits counts.
var routeClasses = []struct{ prefix, class string }{
	{"/mdm/apple/", "apple"}, {"/mdm/windows", "windows"}, {"/mdm/android", "android"}, {"/enrollmentserver/", "windows"},
	{"/api/", "api"}, {"/scep", "scep"}, {"/crl/", "revocation"}, {"/ocsp", "revocation"}, {"/ca/", "revocation"}, {"/enroll", "enrol"},
	{"/static/", "static"}, {"/live", "live"}, {"/healthz", "health"}, {"/readyz", "health"}, {"/metrics", "health"}, {"/.well-known/acme-challenge/", "acme"},
}

// routeClass is one of a few words, whatever a path holds.
func routeClass(path string) string {
	path = strings.ToLower(path)
	for _, c := range routeClasses {
		if strings.HasPrefix(path, c.prefix) {
			return c.class
		}
	}
	return "ui"
}

// statusKeeper remembers the status of an answer.
type statusKeeper struct {
	http.ResponseWriter
	status int
}

func (k *statusKeeper) WriteHeader(status int) {
	if k.status == 0 || k.status < 200 {
		k.status = status
	}
	k.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach what it needs.
func (k *statusKeeper) Unwrap() http.ResponseWriter { return k.ResponseWriter }

// Flush is for handlers that look for http.Flusher.
func (k *statusKeeper) Flush() { _ = http.NewResponseController(k.ResponseWriter).Flush() }
