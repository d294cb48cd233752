package windows

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
	"time"

	"muster/appliance/fleet"
	"muster/store"
)

// How long what proves a person to the enrolment services is good, and how often a code may be typed wrongly.
const (
	tokenLife = 10 * time.Minute
	codeLife  = 15 * time.Minute
	codeTries = 5
)

// grant is what a person was given after accepting an invitation: a token that Windows carries, or a code that the person types. It is good
// for one certificate; only hashes are kept.
type grant struct {
	ID        string            `json:"id"`   // "token/" and its hash, or "user/" and the user name in lower case
	Hash      []byte            `json:"hash"` // of token or code
	Enrolment fleet.EnrolmentID `json:"enrolment"`
	Ticket    []byte            `json:"ticket"` // sealed
	Expires   time.Time         `json:"expires"`
	Wrong     int               `json:"wrong,omitempty"`
	Request   string            `json:"request,omitempty"` // of the certificate that it was used for
}

var grants = store.Define("xg", func(g *grant) string { return g.ID })

// codeLetters is base32 without letters that look like digits, and without u: after Crockford.
var codeLetters = base32.NewEncoding("0123456789ABCDEFGHJKMNPQRSTVWXYZ").WithPadding(base32.NoPadding)

func hashOf(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

// redeem finds the enrolment of a ticket, which must be one for Windows.
func (w *Windows) redeem(ctx context.Context, ticket string) (*fleet.Enrolment, *fleet.Opened, error) {
	e, o, err := w.fleet.Redeem(ctx, ticket)
	if err != nil {
		return nil, nil, err
	}
	if e.Platform != fleet.Windows {
		return nil, nil, fleet.Refuse(fleet.ErrNotApplicable, codeOtherPlatform)
	}
	return e, o, nil
}

func (w *Windows) keepGrant(ctx context.Context, g *grant, ticket string) error {
	g.Ticket = w.db.Sealer().Seal(grants.Name(), g.ID, []byte(ticket))
	return w.db.Update(ctx, func(tx store.Tx) error { return grants.Put(tx, g) })
}

// newToken makes the token that a hand-over page gives to Windows, for a ticket.
func (w *Windows) newToken(ctx context.Context, ticket string) (string, error) {
	e, _, err := w.redeem(ctx, ticket)
	if err != nil {
		return "", err
	}
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	token := base64.RawURLEncoding.EncodeToString(b[:])
	g := &grant{ID: tokenID(token), Hash: hashOf(token), Enrolment: e.ID, Expires: w.now().UTC().Add(tokenLife)}
	return token, w.keepGrant(ctx, g, ticket)
}

func tokenID(token string) string { return "token/" + hex.EncodeToString(hashOf(token)) }

// SignInCode is what a person types where Windows asks for a password.
type SignInCode struct {
	User    string
	Code    string
	Server  string // what Windows asks for beside the user name: scheme and host of the address that devices call
	Expires time.Time
}

// Link opens the enrolment dialogue of Windows with user name and server filled in.
func (c *SignInCode) Link() string {
	return "ms-device-enrollment:?mode=mdm&username=" + url.QueryEscape(c.User) + "&servername=" + url.QueryEscape(c.Server)
}

// NewCode makes the code for a ticket: ten letters and digits, bound to the person's user name, fifteen minutes, five tries. A newer one ends
// the one before it. Errors: those of fleet.Redeem.
func (w *Windows) NewCode(ctx context.Context, ticket string) (*SignInCode, error) {
	e, o, err := w.redeem(ctx, ticket)
	if err != nil {
		return nil, err
	}
	s, err := w.fleet.Settings(ctx)
	if err != nil {
		return nil, err
	}
	server, host := deviceURL(s), "muster.invalid"
	if u, err := url.Parse(server); err == nil && u.Hostname() != "" {
		server, host = u.Scheme+"://"+u.Host, u.Hostname()
	}
	user := userOf(o.Person)
	if user == "" { // a device with no person: a name of its own, in the form that Windows asks for
		id := strings.ToLower(string(e.ID))
		user = "pc-" + id[max(0, len(id)-6):] + "@" + host
	}
	var b [7]byte
	_, _ = rand.Read(b[:]) // never fails
	code := codeLetters.EncodeToString(b[:])[:10]
	g := &grant{ID: userID(user), Hash: hashOf(code), Enrolment: e.ID, Expires: w.now().UTC().Add(codeLife)}
	if err := w.keepGrant(ctx, g, ticket); err != nil {
		return nil, err
	}
	return &SignInCode{User: user, Code: code, Server: server, Expires: g.Expires}, nil
}

// userOf is the user name of a person: the UPN, else the e-mail address.
func userOf(p *fleet.Person) string {
	if p == nil {
		return ""
	}
	if p.UPN != "" {
		return p.UPN
	}
	return p.Mail
}

func userID(user string) string { return "user/" + strings.ToLower(user) }

// cleanCode undoes what people do to a code when they type it.
func cleanCode(s string) string {
	return strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(s))
}

// TicketFor gives the ticket behind a user name and the one-time code that NewCode made, for the page on which a person signs in while
// Windows waits. fleet.ErrNotFound when they do not belong together; a wrong code is counted.
func (w *Windows) TicketFor(ctx context.Context, user, code string) (string, error) {
	c, err := w.granted(ctx, userID(strings.TrimSpace(user)), cleanCode(code))
	var f *fault
	if errors.As(err, &f) {
		return "", &fleet.Refusal{Kind: fleet.ErrNotFound, Reason: f.reason}
	}
	if err != nil {
		return "", err
	}
	return c.ticket, nil
}

// caller is who asks the enrolment services, by token or by name and code.
type caller struct {
	grant  *grant
	ticket string
}

var errSignIn = &fault{sub: "s:Authentication", reason: why(codeSignIn)}

// authenticate looks at a request's security header. What is wrong is the same fault for all: it says nothing of what is right.
func (w *Windows) authenticate(ctx context.Context, header *node) (*caller, error) {
	sec := header.child("Security")
	if t := sec.child("BinarySecurityToken"); t != nil {
		// Windows sends the token of another directory where the PC belongs to one, whatever discovery said.
		if kind := t.attr("ValueType"); kind != userTokenType {
			return nil, &fault{sub: "s:Authentication", reason: why(codeForeignToken), cause: errors.New("token of type " + label(kind))}
		}
		raw, err := decodeBase64(t.value())
		if err != nil || len(raw) == 0 || len(raw) > 200 {
			return nil, errSignIn
		}
		return w.granted(ctx, tokenID(string(raw)), string(raw))
	}
	if t := sec.child("UsernameToken"); t != nil {
		user, code := t.get("Username"), t.get("Password")
		if user == "" || len(user) > 200 || code == "" || len(code) > 100 {
			return nil, errSignIn
		}
		return w.granted(ctx, userID(user), cleanCode(code))
	}
	return nil, errSignIn
}

// granted finds a grant and checks its secret. A wrong code is counted; the fifth ends the grant. Looking and counting are one transaction: of many
// tries at once no more than five are looked at.
func (w *Windows) granted(ctx context.Context, id, secret string) (*caller, error) {
	if err := w.db.View(ctx, func(tx store.Tx) error { _, err := grants.Get(tx, id); return err }); err != nil {
		return nil, unknownGrant(err) // whoever makes up names does not reach the one writer
	}
	var found *grant
	err := w.db.Update(ctx, func(tx store.Tx) error {
		found = nil
		g, err := grants.Get(tx, id)
		switch {
		case err != nil:
			return unknownGrant(err)
		case !w.now().Before(g.Expires):
			return nil
		case subtle.ConstantTimeCompare(g.Hash, hashOf(secret)) == 1:
			found = g
			return nil
		}
		if g.Wrong++; g.Wrong >= codeTries {
			return grants.Delete(tx, id)
		}
		return grants.Put(tx, g)
	})
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, errSignIn
	}
	ticket, err := w.db.Sealer().Open(grants.Name(), found.ID, found.Ticket)
	if err != nil {
		return nil, err
	}
	return &caller{grant: found, ticket: string(ticket)}, nil
}

func unknownGrant(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return errSignIn
	}
	return err
}

// stillGood says whether the enrolment behind a grant may go on: not revoked, not run out, not taken up by another PC.
func (w *Windows) stillGood(ctx context.Context, c *caller) (*fleet.Enrolment, *fleet.Opened, error) {
	return w.redeem(ctx, c.ticket)
}

// Tidy forgets grants that have run out. A job calls it.
func (w *Windows) Tidy(ctx context.Context) error {
	for {
		var old []string
		err := w.db.Update(ctx, func(tx store.Tx) error {
			old = nil
			if err := grants.Each(tx, store.Query{}, func(g *grant) (bool, error) {
				if w.now().After(g.Expires.Add(codeLife)) {
					old = append(old, g.ID)
				}
				return len(old) < 200, nil
			}); err != nil {
				return err
			}
			for _, id := range old {
				if err := grants.Delete(tx, id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil || len(old) < 200 {
			return err
		}
	}
}

// VoidSignIns ends every token and code that people were given: for a store that was restored from a backup.
func VoidSignIns(ctx context.Context, db *store.DB) error {
	const batch = 500
	for n := batch; n == batch; {
		err := db.Update(ctx, func(tx store.Tx) error {
			n = 0
			var ids []string
			if err := grants.Each(tx, store.Query{Limit: batch}, func(g *grant) (bool, error) {
				ids = append(ids, g.ID)
				return true, nil
			}); err != nil {
				return err
			}
			for _, id := range ids {
				if err := grants.Delete(tx, id); err != nil {
					return err
				}
			}
			n = len(ids)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
