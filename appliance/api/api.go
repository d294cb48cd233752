package api

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"muster/appliance/fleet"
	"muster/ui/words"
)

// Config holds what the API needs. All fields are required.
type Config struct {
	Fleet   *fleet.Fleet
	Google  Google
	Words   *words.Catalogue
	Logger  *slog.Logger
	Version string
	URL     string // public address, for links in answers
	Clock   func() time.Time
}

type server struct {
	Config
}

// prefix under which everything lies.
const prefix = "/api/v1"

// maxBody is the largest request body in bytes.
const maxBody = 1 << 20

// New returns the API as a handler for /api/.
func New(c Config) http.Handler {
	s := &server{c}
	mux := http.NewServeMux()
	document := s.openAPI()
	mux.HandleFunc("GET "+prefix+"/openapi.json", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(document)
	})
	for _, rt := range routes {
		mux.Handle(rt.Method+" "+prefix+rt.Path, s.handle(rt))
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		s.fail(w, r, fleet.Refuse(fleet.ErrNotFound, "api.no-such-path"))
	})
	return limitBody(mux)
}

func limitBody(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		h.ServeHTTP(w, r)
	})
}

// handle authenticates, runs a route, and writes what it returns. Cookies are ignored here.
func (s *server) handle(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		actor, err := s.authenticate(r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		c := &call{server: s, Request: r, Actor: actor, w: w}
		if rt.Raw != nil {
			if err := rt.Raw(r.Context(), c); err != nil {
				s.fail(w, r, err)
			}
			return
		}
		if rt.Method == http.MethodPost && r.Header.Get("Idempotency-Key") != "" {
			s.once(w, r, c, rt)
			return
		}
		status, body, err := s.run(r.Context(), c, rt)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		s.write(w, status, body)
	})
}

// authenticate takes the bearer token. The acting rights are fleet's to decide.
func (s *server) authenticate(r *http.Request) (fleet.Actor, error) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return fleet.Actor{}, fleet.Refuse(fleet.ErrSignIn, "api.token-missing")
	}
	from := r.RemoteAddr
	if host, _, err := net.SplitHostPort(from); err == nil {
		from = host
	}
	actor, err := s.Fleet.AuthenticateToken(r.Context(), strings.TrimSpace(token), from)
	actor.Via = "api"
	return actor, err
}

// run calls a route and marshals its answer.
func (s *server) run(ctx context.Context, c *call, rt route) (int, []byte, error) {
	answer, err := rt.Do(ctx, c)
	if err != nil {
		return 0, nil, err
	}
	status := rt.Status
	if status == 0 {
		status = http.StatusOK
	}
	if answer == nil {
		return http.StatusNoContent, nil, nil
	}
	body, err := marshal(answer)
	return status, body, err
}

func (s *server) write(w http.ResponseWriter, status int, body []byte) {
	if body != nil {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(status)
	w.Write(body)
}
