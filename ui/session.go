package ui

import "net/http"

// SetSession hands a browser over TLS the cookie of a session that was opened
// elsewhere, until it closes: the demo signs its visitor in this way.
func (u *UI) SetSession(w http.ResponseWriter, secret string) {
	http.SetCookie(w, &http.Cookie{Name: sessionCookieSecure, Value: secret, Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode})
}
