package fleet

import (
	"context"
	"time"
)

// Admin is an administrator of Muster.
type Admin struct {
	ID           AdminID    `json:"id"`
	Mail         string     `json:"mail"`
	Name         string     `json:"name"`
	Role         RoleID     `json:"role"`
	Tags         []Tag      `json:"tags,omitempty"` // scope; with AllTags everything
	AllTags      bool       `json:"all_tags"`
	Language     string     `json:"language,omitempty"`
	Theme        string     `json:"theme,omitempty"`
	Disabled     bool       `json:"disabled"`
	PasswordHash string     `json:"password_hash"`       // argon2id, PHC string
	TOTP         []byte     `json:"totp,omitempty"`      // sealed
	TOTPUsed     int64      `json:"totp_used,omitempty"` // last accepted time step: a code works once
	Recovery     []string   `json:"recovery,omitempty"`  // hashes of unused recovery codes
	Created      time.Time  `json:"created"`
	LastSignIn   *time.Time `json:"last_sign_in,omitempty"`
	Version      int        `json:"version"`
}

// Role is a named set of permissions. Built-in: owner, administrator, help-desk, read-only, privacy-officer.
type Role struct {
	ID          RoleID       `json:"id"`
	Name        string       `json:"name"`
	BuiltIn     bool         `json:"built_in"`
	Permissions []Permission `json:"permissions"`
}

// SetupState says whether the appliance was set up and, before that, whether a link is open.
type SetupState struct {
	Done    bool
	Expires time.Time
}

// SetupLink makes (or, after a restart while unused, renews) the one-time set-up token: 256 bits, hashed, one hour.
// ErrConflict once set-up is done.
func (f *Fleet) SetupLink(ctx context.Context, a Actor) (token string, err error) { panic("unbuilt") }
func (f *Fleet) SetupState(ctx context.Context) (SetupState, error)               { panic("unbuilt") }

type SetupInput struct {
	Organisation, Contact, Language string
	AdminName, AdminMail, Password  string
	URL                             string
}

// Setup makes the organisation and its first owner. The token is used up.
func (f *Fleet) Setup(ctx context.Context, token, from string, in SetupInput) (*Admin, error) {
	panic("unbuilt")
}

// SignInResult: either Session is set, or Next says what is still needed ("totp", "totp-setup") with Pending to hand back.
type SignInResult struct {
	Session string // secret for the cookie
	Next    string
	Pending string
	TOTPURL string   // otpauth:// for "totp-setup"
	Codes   []string // recovery codes, shown once, when TOTP was set up
}

// SignIn checks the password (argon2id; a missing account takes as long). Limited per account and address.
func (f *Fleet) SignIn(ctx context.Context, mail, password, from, userAgent string) (*SignInResult, error) {
	panic("unbuilt")
}

// SignInCode finishes with a TOTP code or a recovery code, or confirms a new TOTP secret.
func (f *Fleet) SignInCode(ctx context.Context, pending, code, from, userAgent string) (*SignInResult, error) {
	panic("unbuilt")
}

// Session is a server-side sign-in; its secret is kept hashed.
type Session struct {
	ID        SessionID `json:"id"`
	Admin     AdminID   `json:"admin"`
	Created   time.Time `json:"created"`
	LastUsed  time.Time `json:"last_used"` // coalesced to a minute
	Expires   time.Time `json:"expires"`   // 12 hours idle, 7 days at most
	From      string    `json:"from"`
	UserAgent string    `json:"user_agent"`
}

// Authenticate turns a session cookie into the acting administrator. ErrSignIn when gone.
func (f *Fleet) Authenticate(ctx context.Context, secret, from string) (Actor, *Admin, error) {
	panic("unbuilt")
}
func (f *Fleet) SignOut(ctx context.Context, secret string) error { panic("unbuilt") }
func (f *Fleet) Sessions(ctx context.Context, a Actor) ([]*Session, error) {
	panic("unbuilt")
}
func (f *Fleet) EndSession(ctx context.Context, a Actor, id SessionID) error { panic("unbuilt") }

type AdminInput struct {
	Mail, Name, Password, Language, Theme *string
	Role                                  *RoleID
	Tags                                  *[]Tag
	AllTags, Disabled                     *bool
	ResetTOTP                             bool
	Version                               int
}

// CreateAdmin and UpdateAdmin never give more rights than the actor holds; the last active owner can be neither disabled nor
// demoted nor deleted (guard key). Everyone may change their own name, password, language and theme.
func (f *Fleet) CreateAdmin(ctx context.Context, a Actor, in AdminInput) (*Admin, error) {
	panic("unbuilt")
}
func (f *Fleet) UpdateAdmin(ctx context.Context, a Actor, id AdminID, in AdminInput) (*Admin, error) {
	panic("unbuilt")
}
func (f *Fleet) DeleteAdmin(ctx context.Context, a Actor, id AdminID) error { panic("unbuilt") }
func (f *Fleet) Admin(ctx context.Context, a Actor, id AdminID) (*Admin, error) {
	panic("unbuilt")
}
func (f *Fleet) Admins(ctx context.Context, a Actor, q ListQuery) (List[*Admin], error) {
	panic("unbuilt")
}
func (f *Fleet) Roles(ctx context.Context, a Actor) ([]*Role, error) { panic("unbuilt") }
func (f *Fleet) SaveRole(ctx context.Context, a Actor, r Role) (*Role, error) {
	panic("unbuilt")
}
func (f *Fleet) DeleteRole(ctx context.Context, a Actor, id RoleID) error { panic("unbuilt") }

// Token is an API token: shown once, kept hashed, expiring, prefix "muster_"; never more rights than its maker, at issue and at
// each use.
type Token struct {
	ID          TokenID      `json:"id"`
	Name        string       `json:"name"`
	Admin       AdminID      `json:"admin"`
	Permissions []Permission `json:"permissions"`
	Hash        []byte       `json:"hash"`
	Created     time.Time    `json:"created"`
	Expires     time.Time    `json:"expires"`
	LastUsed    *time.Time   `json:"last_used,omitempty"`
}

func (f *Fleet) CreateToken(ctx context.Context, a Actor, name string, p []Permission, lifetime time.Duration) (*Token, string, error) {
	panic("unbuilt")
}
func (f *Fleet) Tokens(ctx context.Context, a Actor) ([]*Token, error)      { panic("unbuilt") }
func (f *Fleet) RevokeToken(ctx context.Context, a Actor, id TokenID) error { panic("unbuilt") }
func (f *Fleet) AuthenticateToken(ctx context.Context, bearer, from string) (Actor, error) {
	panic("unbuilt")
}
