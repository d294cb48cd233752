package sim

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The scopes that the stand-in knows.
const (
	amapiScope  = "https://www.googleapis.com/auth/androidmanagement"
	pubsubScope = "https://www.googleapis.com/auth/pubsub"
	cloudScope  = "https://www.googleapis.com/auth/cloud-platform"
)

// token exchanges an assertion that the service account signed for an access token (RFC 7523, section 2.1).
func (g *Google) token(w http.ResponseWriter, r *http.Request) {
	trouble, struck := g.strike("POST /token")
	if struck {
		trouble.answer().write(w)
		return
	}
	refuse := func(word, text string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(dict{"error": word, "error_description": text}) // the client may have hung up
	}
	if r.Method != http.MethodPost || r.ParseForm() != nil {
		refuse("invalid_request", "A form by POST is needed.")
		return
	}
	if r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		refuse("unsupported_grant_type", "Invalid grant_type: "+r.PostFormValue("grant_type"))
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	scopes, problem := g.assertion(r.PostFormValue("assertion"))
	if problem != "" {
		refuse("invalid_grant", problem)
		return
	}
	value := "ya29.sim-" + strings.ToLower(newUUID())
	g.tokens[value] = &bearer{expires: g.now().Add(time.Hour), scopes: scopes}
	g.counts.Tokens++
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	_ = json.NewEncoder(w).Encode(dict{"access_token": value, "expires_in": 3599, "token_type": "Bearer"}) // the client may have hung up
}

// assertion checks a signed statement and returns the scopes that it asks for, or Google's words for what is wrong. g.mu is held.
func (g *Google) assertion(s string) (scopes []string, problem string) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return nil, "Invalid JWT: not three parts."
	}
	var head struct{ Alg, Typ, Kid string }
	var claims struct {
		Iss, Scope, Aud string
		Iat, Exp        int64
	}
	for i, into := range []any{&head, &claims} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(b, into) != nil {
			return nil, "Invalid JWT: it cannot be read."
		}
	}
	sig, err := base64.RawURLEncoding.DecodeString(parts[2])
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	now, issued, expires := g.now(), time.Unix(claims.Iat, 0), time.Unix(claims.Exp, 0)
	scopes = strings.Fields(claims.Scope)
	switch {
	case head.Alg != "RS256":
		return nil, "Invalid JWT: algorithm " + head.Alg + "."
	case head.Kid != "" && head.Kid != g.keyID, g.cond.KeyRevoked:
		return nil, "Invalid JWT Signature."
	case err != nil || rsa.VerifyPKCS1v15(&g.key.PublicKey, crypto.SHA256, sum[:], sig) != nil:
		return nil, "Invalid JWT Signature."
	case claims.Iss != g.email:
		return nil, "Invalid issuer: " + claims.Iss
	case claims.Aud != g.TokenURL():
		return nil, "Invalid JWT: wrong audience."
	case g.cond.Skewed, issued.Sub(now).Abs() > 5*time.Minute, expires.Before(now), expires.Sub(issued) > time.Hour:
		return nil, "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim."
	case len(scopes) == 0:
		return nil, "Empty or missing scope not allowed."
	}
	return scopes, ""
}

// admit checks the access token of a call and what the project may do.
func (g *Google) admit(r *http.Request, pubsub bool) *googleError {
	g.mu.Lock()
	defer g.mu.Unlock()
	value, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	b := g.tokens[value]
	if !ok || b == nil || !g.now().Before(b.expires) {
		return refusedWith(http.StatusUnauthorized, "UNAUTHENTICATED", "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.")
	}
	scope, service, off := amapiScope, amapiService, g.cond.APIOff
	if pubsub {
		scope, service, off = pubsubScope, pubsubService, g.cond.PubSubOff
	}
	switch {
	case !slices.Contains(b.scopes, scope) && !(pubsub && slices.Contains(b.scopes, cloudScope)):
		e := refusedWith(http.StatusForbidden, "PERMISSION_DENIED", "Request had insufficient authentication scopes.")
		e.details = []any{dict{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "domain": "googleapis.com", "metadata": dict{"service": service}}}
		return e
	case off:
		return serviceDisabled(g.project, service)
	case !pubsub && (g.cond.NoRole || g.cond.CutOff):
		return refusedWith(http.StatusForbidden, "PERMISSION_DENIED", "The caller does not have permission")
	}
	return nil
}
