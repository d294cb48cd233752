package appliance

import (
	"context"
	"net"
	"net/http"
	"strings"

	"muster/appliance/api"
	"muster/ui"
)

// browserRoutes are for people and programs: UI, portal, enrolment pages, API, health.
func (a *Appliance) browserRoutes() (http.Handler, error) {
	var err error
	a.pages, err = ui.New(ui.Config{
		Fleet: a.fleet, Logger: a.log, Clock: a.config.Clock, Demo: a.config.demo, Version: Version,
		EnrolmentProfile: a.enrolmentProfile,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	a.caRoutes(mux)
	mux.Handle("/api/", api.New(api.Config{Fleet: a.fleet, Logger: a.log, Version: Version, URL: a.config.URL}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", a.ready)
	if a.config.demo {
		mux.HandleFunc("GET /demo/{key}", a.demoSignIn)
	}
	mux.Handle("/", a.pages)
	return mux, nil
}

// deviceRoutes are for devices only: no cookies, no pages, no redirects.
func (a *Appliance) deviceRoutes() http.Handler {
	mux := http.NewServeMux()
	a.caRoutes(mux)
	mux.Handle("/mdm/apple/", a.apple.Handler())
	return mux
}

// byHost shares one listener: device paths go to the device routes under either name, everything else to the browser routes.
// The device host name serves nothing but device paths.
func (a *Appliance) byHost(browsers, devices http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		onDeviceName := !a.doors.oneName && strings.EqualFold(host, a.doors.device.host) && a.doors.device.host != a.doors.public.host
		if onDeviceName || strings.HasPrefix(r.URL.Path, "/mdm/") {
			devices.ServeHTTP(w, r)
			return
		}
		browsers.ServeHTTP(w, r)
	})
}

// enrolmentProfile is what the enrolment page hands to a person's device for a ticket.
func (a *Appliance) enrolmentProfile(ctx context.Context, ticket string) (ui.Download, error) {
	body, err := a.apple.EnrolmentProfile(ctx, ticket)
	if err != nil {
		return ui.Download{}, err
	}
	return ui.Download{Name: "muster.mobileconfig", Type: "application/x-apple-aspen-config", Body: body}, nil
}

// ready says whether the store answers.
func (a *Appliance) ready(w http.ResponseWriter, r *http.Request) {
	if _, err := a.fleet.SetupState(r.Context()); err != nil {
		a.log.Error("not ready", "err", err)
		plain(w, http.StatusServiceUnavailable, "not ready")
		return
	}
	plain(w, http.StatusOK, "ready")
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write([]byte(text + "\n"))
}
