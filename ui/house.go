package ui

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"muster/appliance/fleet"
	"muster/ui/words"
)

func (u *UI) houseRoutes() {
	u.open("POST /preferences", u.savePreferences)
	u.admin("GET /live", u.live)
}

// savePreferences keeps language and theme: with the administrator who is signed
// in, and in a cookie for everyone else and for the sign-in page.
func (u *UI) savePreferences(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	const year = 365 * 24 * 3600
	var in fleet.AdminInput
	if lang, ok := words.ParseLang(form.Value("lang")); ok {
		q.setCookie(langCookie, string(lang), year)
		in.Language = new(string(lang))
	}
	switch theme := form.Value("theme"); theme {
	case "light", "dark", "auto":
		q.setCookie(themeCookie, theme, year)
		if theme == "auto" {
			theme = "" // as the domain says it: whatever the browser prefers
		}
		in.Theme = &theme
	}
	if q.Admin != nil && (in.Language != nil || in.Theme != nil) {
		if _, err := u.fleet.UpdateAdmin(q.Context(), q.Actor, q.Admin.ID, in); err != nil {
			return err
		}
	}
	if form.Value("quiet") != "" {
		q.W.WriteHeader(http.StatusNoContent)
		return nil
	}
	return q.Redirect(q.Back("back", "/"))
}

// How long one live stream lasts before the browser opens the next: a session
// that was ended meanwhile gets no more. How often an idle one shows that it is
// alive.
const (
	liveFor   = 5 * time.Minute
	liveEvery = 20 * time.Second
)

// live tells pages what changed, as server-sent events.
func (u *UI) live(q *Request) error {
	changes := u.fleet.Subscribe(q.Context(), q.Actor)
	h := q.W.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no") // a proxy in front must not hold it back
	out := http.NewResponseController(q.W)
	send := func(format string, args ...any) bool {
		if err := out.SetWriteDeadline(time.Now().Add(liveEvery)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return false
		}
		if _, err := fmt.Fprintf(q.W, format, args...); err != nil {
			return false
		}
		return out.Flush() == nil
	}
	if !send("retry: 2000\n\n") {
		return nil
	}
	end, tick := time.NewTimer(liveFor), time.NewTicker(liveEvery)
	defer end.Stop()
	defer tick.Stop()
	for {
		select {
		case <-q.Context().Done():
			return nil
		case <-end.C:
			return nil
		case <-tick.C:
			if !send(": here\n\n") {
				return nil
			}
		case c, ok := <-changes:
			if !ok {
				return nil
			}
			raw, err := json.Marshal(map[string]string{"kind": c.Kind, "id": c.ID})
			if err != nil || !send("event: change\ndata: %s\n\n", raw) {
				return nil
			}
		}
	}
}
