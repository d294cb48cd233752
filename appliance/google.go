package appliance

import (
	"errors"
	"net/http"

	"muster/appliance/fleet"
	"muster/ui/words"
)

// googleCallback ends the organisation's sign-up at Google: Google sends the administrator's browser here. The state in the address was made for
// this sign-up, and is the right to end it; no cookie is looked at, since the browser comes from another site.
func (a *Appliance) googleCallback(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	q := r.URL.Query()
	err := a.android.Complete(r.Context(), q.Get("state"), q.Get("enterpriseToken"))
	var refusal *fleet.Refusal
	switch {
	case errors.As(err, &refusal):
		lang := words.Negotiate("", r.Header.Get("Accept-Language"))
		plain(w, http.StatusConflict, a.words.Reason(lang, refusal.Reason.Code, wordsArgs(refusal.Reason.Args), refusal.Reason.DeviceWords))
	case err != nil:
		a.log.Error("sign-up at Google", "err", err)
		plain(w, http.StatusInternalServerError, "Something went wrong on our side. Please try again in a minute.")
	default:
		http.Redirect(w, r, "/settings", http.StatusSeeOther)
	}
}
