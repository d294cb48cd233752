package appliance

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"

	"muster/appliance/android"
	"muster/appliance/api"
	"muster/appliance/fleet"
	"muster/appliance/windows"
	"muster/ui"
	"muster/ui/words"
)

// browserRoutes are for people and programs: UI, portal, enrolment pages, API, health.
func (a *Appliance) browserRoutes() (http.Handler, error) {
	var err error
	a.pages, err = ui.New(ui.Config{
		Fleet: a.fleet, Words: a.words, Logger: a.log, Clock: a.config.Clock, Demo: a.config.demo, EnrolProfile: profileAddress,
		WindowsCode: a.windowsCode, WindowsTicket: a.windows.TicketFor, HandOver: handOver, AndroidEntry: a.androidEntry, Google: a.android, System: a.system,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	a.caRoutes(mux)
	mux.Handle("/api/", api.New(api.Config{Fleet: a.fleet, Google: a.android, Words: a.words, Logger: a.log, Version: Version, URL: a.config.URL, Clock: a.config.Clock}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { plain(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", a.ready)
	mux.HandleFunc("GET /metrics", a.metrics.serve)
	mux.HandleFunc("GET "+profileAddress("{ticket}"), a.enrolmentProfile)
	mux.HandleFunc("GET "+android.CallbackPath, a.googleCallback)
	if a.config.demo {
		mux.HandleFunc("GET /demo/{key}", a.demoSignIn)
	}
	mux.Handle("/", a.onPublicName(a.pages))
	return asDeclared(a.withWindows(mux)), nil
}

// asDeclared keeps browsers from taking any answer for something other than its content type says.
func asDeclared(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		h.ServeHTTP(w, r)
	})
}

// onPublicName leads whoever opens a page under a further name to the public address: sessions, passkeys and links belong to that one.
func (a *Appliance) onPublicName(pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if (r.Method == http.MethodGet || r.Method == http.MethodHead) && a.tls.isFurther(host) {
			http.Redirect(w, r, a.config.URL+r.URL.RequestURI(), http.StatusTemporaryRedirect)
			return
		}
		pages.ServeHTTP(w, r)
	})
}

// deviceRoutes are for devices only: no cookies, no pages, no redirects.
func (a *Appliance) deviceRoutes() http.Handler {
	mux := http.NewServeMux()
	a.caRoutes(mux)
	mux.Handle("/mdm/apple/", a.apple.Handler())
	mux.Handle(windows.SessionPath, a.windows.SessionHandler())
	return asDeclared(a.withWindows(mux))
}

// withWindows answers the enrolment services of Windows before anything else, on every door: a PC looks for discovery under whatever name
// it was told, in any case of letters.
func (a *Appliance) withWindows(rest http.Handler) http.Handler {
	enrolment := a.windows.EnrolmentHandler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if windows.Serves(r.URL.Path) {
			enrolment.ServeHTTP(w, r)
			return
		}
		rest.ServeHTTP(w, r)
	})
}

// say gives the words for a key in the browser's language; without a request, in English.
func (a *Appliance) say(r *http.Request, key string) string {
	lang := words.English
	if r != nil {
		lang = words.Negotiate("", r.Header.Get("Accept-Language"))
	}
	if code, ok := strings.CutPrefix(key, "reason."); ok {
		return a.words.Reason(lang, code, nil, "")
	}
	return a.words.T(lang, key, nil)
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

// enrolmentProfile hands the enrolment profile to the device of whoever holds a ticket: accepting made it, and it ends by itself.
func (a *Appliance) enrolmentProfile(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	body, err := a.apple.EnrolmentProfile(r.Context(), r.PathValue("ticket"))
	var refusal *fleet.Refusal
	lang := words.Negotiate("", r.Header.Get("Accept-Language"))
	switch {
	case errors.As(err, &refusal):
		status := http.StatusConflict // nothing is wrong with the ticket: the push certificate is missing, for example
		if errors.Is(err, fleet.ErrGone) || errors.Is(err, fleet.ErrNotFound) {
			status = http.StatusGone
		}
		plain(w, status, a.words.Reason(lang, refusal.Reason.Code, wordsArgs(refusal.Reason.Args), ""))
		return
	case err != nil:
		a.log.Error("enrolment profile", "err", err)
		status := http.StatusInternalServerError
		if errors.Is(err, fleet.ErrNoRoom) { // whoever enrols a device can do nothing about it but wait
			status = http.StatusServiceUnavailable
		}
		plain(w, status, a.words.Reason(lang, "internal", nil, ""))
		return
	}
	w.Header().Set("Content-Type", "application/x-apple-aspen-config")
	w.Header().Set("Content-Disposition", `attachment; filename="muster.mobileconfig"`)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

// windowsCode gives the enrolment page of a PC what its person types.
func (a *Appliance) windowsCode(ctx context.Context, ticket string) (ui.WindowsCode, error) {
	c, err := a.windows.NewCode(ctx, ticket)
	if err != nil {
		return ui.WindowsCode{}, err
	}
	return ui.WindowsCode{User: c.User, Code: c.Code, Server: c.Server, Link: c.Link(), Expires: c.Expires}, nil
}

// handOver is where the page of a PC that is being enrolled ends: Windows gets its token there.
func handOver(ticket, appru string) (string, bool) {
	return windows.HandOver(ticket, appru), windows.ValidReturn(appru)
}

// profileAddress is where enrolmentProfile answers.
func profileAddress(ticket string) string {
	return "/enroll-profile/" + ticket + "/muster.mobileconfig"
}

// ready says whether the server can do its work: the store answers and takes writes. What else needs a person does not make it unready.
func (a *Appliance) ready(w http.ResponseWriter, r *http.Request) {
	a.sayReady(w, r, func() (string, error) { return "", nil })
}

// readyWithNeeds adds the codes of grave needs, for monitors on this machine that show more than a status.
func (a *Appliance) readyWithNeeds(w http.ResponseWriter, r *http.Request) {
	a.sayReady(w, r, func() (text string, err error) {
		needs, err := a.fleet.Needs(r.Context(), fleet.Job("readyz"))
		for _, n := range needs {
			if n.Severity == fleet.SeverityError {
				text += "\n" + n.Reason.Code + " " + n.Object
			}
		}
		return text, err
	})
}

func (a *Appliance) sayReady(w http.ResponseWriter, r *http.Request, more func() (string, error)) {
	_, err := a.fleet.SetupState(r.Context())
	text := ""
	if err == nil {
		text, err = more()
	}
	if err != nil || a.db.Stats().Failed {
		a.log.Error("not ready", "err", err)
		plain(w, http.StatusServiceUnavailable, "not ready")
		return
	}
	plain(w, http.StatusOK, "ready"+text)
}

func plain(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	w.Write([]byte(text + "\n"))
}

// wordsArgs turns a reason's arguments into those of a text.
func wordsArgs(args map[string]string) words.Args {
	out := words.Args{}
	for k, v := range args {
		out[k] = v
	}
	return out
}
