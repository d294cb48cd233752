package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"

	"muster/appliance/fleet"
)

// once runs a POST with an Idempotency-Key at most once: the same key with the same request gets the first answer again, for a
// day; with another request it is refused. Refusals are not kept, so that a corrected request may use its key again.
func (s *server) once(w http.ResponseWriter, r *http.Request, c *call, rt route) {
	body, err := c.bytes()
	if err != nil {
		s.fail(w, r, err)
		return
	}
	h := sha256.New()
	json.NewEncoder(h).Encode([]string{r.Method, r.URL.RequestURI(), string(body)})
	key := r.Header.Get("Idempotency-Key")
	kept, err := s.Fleet.BeginOnce(r.Context(), c.Actor, key, h.Sum(nil))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if kept != nil {
		w.Header().Set("Idempotency-Replayed", "true")
		s.write(w, kept.Status, kept.Body)
		return
	}
	status, answer, err := s.run(r.Context(), c, rt)
	after := context.WithoutCancel(r.Context()) // who went away before the answer comes back for it
	if err != nil {
		if statusOf(err) != http.StatusInternalServerError { // else nobody knows how far it came
			if ferr := s.Fleet.ForgetOnce(after, c.Actor, key); ferr != nil {
				s.Logger.Error("idempotency key not given back", "err", ferr)
			}
		}
		s.fail(w, r, err)
		return
	}
	if err := s.Fleet.FinishOnce(after, c.Actor, key, fleet.OnceAnswer{Status: status, Body: answer}); err != nil {
		s.Logger.Error("idempotent answer not kept", "err", err)
	}
	s.write(w, status, answer)
}
