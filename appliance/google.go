package appliance

import (
	"context"
	"errors"
	"net/http"

	"muster/appliance/fleet"
	"muster/ui"
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
		http.Redirect(w, r, "/settings/android?check=now", http.StatusSeeOther)
	}
}

// androidEntry gives the enrolment page of an Android what its person needs.
func (a *Appliance) androidEntry(ctx context.Context, ticket string) (ui.AndroidEntry, error) {
	e, err := a.android.NewEntry(ctx, ticket)
	if err != nil {
		return ui.AndroidEntry{}, err
	}
	return ui.AndroidEntry{Link: e.Link, Token: e.Token, QR: e.QR, Expires: e.Expires}, nil
}
