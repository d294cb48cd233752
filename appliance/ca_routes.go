package appliance

import (
	"encoding/base64"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
)

const (
	maxSCEP = 1 << 20 // a PKIOperation has some 6 KB
	maxOCSP = 16 << 10
)

// caRoutes are the HTTP side of the internal CA. pki sees messages, never requests.
func (a *Appliance) caRoutes(mux *http.ServeMux) {
	mux.HandleFunc("/scep", a.scep)
	mux.HandleFunc("GET /crl/issuing.crl", a.crl)
	mux.HandleFunc("GET /ca/root.crt", a.root)
	mux.HandleFunc("POST /ocsp", a.ocsp)
	mux.HandleFunc("GET /ocsp/{request...}", a.ocsp)
}

// plainRoutes answer over plain HTTP: what verifiers do not fetch over HTTPS, and a redirect for people.
func (a *Appliance) plainRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /crl/issuing.crl", a.crl)
	mux.HandleFunc("GET /ca/root.crt", a.root)
	mux.HandleFunc("POST /ocsp", a.ocsp)
	mux.HandleFunc("GET /ocsp/{request...}", a.ocsp)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, a.config.URL+r.URL.RequestURI(), http.StatusPermanentRedirect)
	})
	return mux
}

// scep answers GetCACaps, GetCACert and PKIOperation (RFC 8894, section 4). A POST may carry its message in the URL again. Query
// strings are never logged: they hold whole messages.
func (a *Appliance) scep(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	operation := query.Get("operation")
	var message []byte
	switch r.Method {
	case http.MethodGet:
		if operation == "PKIOperation" {
			m, err := scepQueryMessage(r.URL.RawQuery)
			if err != nil {
				plain(w, http.StatusBadRequest, "the message is not base64")
				return
			}
			message = m
		}
	case http.MethodPost:
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSCEP))
		if err != nil {
			plain(w, http.StatusRequestEntityTooLarge, "the message is too large or was cut off")
			return
		}
		message = body
	default:
		w.Header().Set("Allow", "GET, POST")
		plain(w, http.StatusMethodNotAllowed, "GET or POST")
		return
	}
	contentType, body, err := a.pki.SCEP(r.Context(), operation, message)
	if err != nil {
		a.log.Warn("scep refused", "operation", cut(operation, 40), "from", r.RemoteAddr, "err", err)
		plain(w, http.StatusBadRequest, "not a SCEP message that can be answered")
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Write(body)
}

// scepQueryMessage takes the message from a raw query: clients leave + and / unescaped, so form decoding, which turns + into a
// space, would spoil it.
func scepQueryMessage(raw string) ([]byte, error) {
	for _, part := range strings.Split(raw, "&") {
		if v, ok := strings.CutPrefix(part, "message="); ok {
			v, err := url.PathUnescape(v)
			if err != nil {
				return nil, err
			}
			v = strings.NewReplacer(" ", "+", "\r", "", "\n", "").Replace(v)
			return base64.StdEncoding.DecodeString(v)
		}
	}
	return nil, errors.New("no message")
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

// root serves the root certificate, so that a person can compare its fingerprint and trust it.
func (a *Appliance) root(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/x-x509-ca-cert")
	w.Header().Set("Content-Disposition", `attachment; filename="muster-root.crt"`)
	w.Write(a.pki.Root().Raw)
}

// ocsp answers RFC 6960 requests by POST, and by GET with the base64 in the path (appendix A.1).
func (a *Appliance) ocsp(w http.ResponseWriter, r *http.Request) {
	var request []byte
	var err error
	if r.Method == http.MethodPost {
		request, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxOCSP))
	} else {
		request, err = base64.StdEncoding.DecodeString(r.PathValue("request"))
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
