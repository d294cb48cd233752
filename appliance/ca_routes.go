package appliance

import (
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"strings"

	"muster/appliance/apple"
	"muster/pki"
)

const (
	maxSCEP = 1 << 20 // a PKIOperation has some 6 KB
	maxOCSP = 16 << 10
)

// caRoutes are the HTTP side of the internal CA. pki sees messages, never requests.
func (a *Appliance) caRoutes(mux *http.ServeMux) {
	mux.HandleFunc("/scep", a.scep)
	mux.HandleFunc("/scep/", a.scep) // Windows may add pkiclient.exe
	a.revocationRoutes(mux)
}

// revocationRoutes are what verifiers fetch, over plain HTTP too.
func (a *Appliance) revocationRoutes(mux *http.ServeMux) {
	mux.HandleFunc("GET "+pki.CRLPath, a.crl)
	mux.HandleFunc("POST "+pki.OCSPPath, a.ocsp)
	mux.HandleFunc("GET "+pki.OCSPPath+"/{request...}", a.ocsp)
	mux.HandleFunc("GET "+pki.IssuerPath, certificateFile("muster-issuing.crt", a.pki.Issuing().Raw))
	mux.HandleFunc("GET /ca/root.crt", certificateFile("muster-root.crt", a.pki.Root().Raw))
}

// plainRoutes answer over plain HTTP: what verifiers do not fetch over HTTPS, and a redirect for people.
func (a *Appliance) plainRoutes() http.Handler {
	mux := http.NewServeMux()
	a.revocationRoutes(mux)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		if a.tls.answers(w, r) {
			return
		}
		http.Redirect(w, r, a.config.URL+r.URL.RequestURI(), http.StatusPermanentRedirect)
	})
	return asDeclared(mux)
}

// scep answers GetCACaps, GetCACert and PKIOperation (RFC 8894, section 4). A POST may carry its message in the URL again. Query
// strings are never logged: they hold whole messages.
func (a *Appliance) scep(w http.ResponseWriter, r *http.Request) {
	operation, message, err := pki.ParseSCEPQuery(r.URL.RawQuery)
	switch {
	case r.Method == http.MethodPost:
		if message, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxSCEP)); err != nil {
			plain(w, http.StatusRequestEntityTooLarge, "the message is too large or was cut off")
			return
		}
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", "GET, POST")
		plain(w, http.StatusMethodNotAllowed, "GET or POST")
		return
	case err != nil:
		plain(w, http.StatusBadRequest, "the message is not base64")
		return
	}
	if operation == "GetCACert" && string(message) == apple.SCEPBundle && strings.HasPrefix(r.UserAgent(), "Go-http-client/") {
		// Simulators of devices, mdmb among them, are written in Go: its SCEP library encrypts to every certificate that it is offered, and gives up at
		// the authorities' ECDSA. Apple's own client says who it is, and wants the chain.
		message = []byte(pki.SCEPNameRA)
	}
	contentType, body, err := a.pki.SCEP(r.Context(), operation, message)
	if err != nil && !errors.Is(err, pki.ErrMessage) && !errors.Is(err, pki.ErrOperation) {
		a.log.Error("scep", "operation", cut(operation, 40), "from", r.RemoteAddr, "err", err)
		plain(w, http.StatusServiceUnavailable, "not at the moment: try again")
		return
	}
	if err != nil {
		a.log.Warn("scep refused", "operation", cut(operation, 40), "from", r.RemoteAddr, "err", err)
		plain(w, http.StatusBadRequest, "not a SCEP message that can be answered")
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Write(body)
}

func (a *Appliance) crl(w http.ResponseWriter, r *http.Request) {
	der, err := a.pki.CRL(r.Context())
	if err != nil {
		a.log.Error("revocation list", "err", err)
		plain(w, http.StatusServiceUnavailable, "no revocation list at the moment")
		return
	}
	w.Header().Set("Content-Type", "application/pkix-crl")
	w.Header().Set("Cache-Control", "public, max-age=300")
	w.Write(der)
}

// certificateFile serves a CA certificate, so that a person can compare its fingerprint and trust it, and a verifier build a chain.
func certificateFile(name string, der []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", pki.ContentTypeCA)
		w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
		w.Write(der)
	}
}

// ocsp answers RFC 6960 requests by POST, and by GET with the base64 in the path (appendix A.1).
func (a *Appliance) ocsp(w http.ResponseWriter, r *http.Request) {
	var request []byte
	var err error
	if r.Method == http.MethodPost {
		request, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxOCSP))
	} else {
		request, err = pki.ParseOCSPPath(r.URL.EscapedPath())
	}
	var answer []byte
	if err == nil {
		answer, err = a.pki.OCSP(r.Context(), request)
	}
	if err != nil {
		plain(w, http.StatusBadRequest, "not an OCSP request")
		return
	}
	w.Header().Set("Content-Type", "application/ocsp-response")
	w.Write(answer)
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n] + "…"
	}
	return s
}

// quietLog sends what net/http complains of (scanners, broken handshakes) to the debug level.
func quietLog(l *slog.Logger, listener string) *log.Logger {
	return slog.NewLogLogger(l.With("listener", listener).Handler(), slog.LevelDebug)
}
