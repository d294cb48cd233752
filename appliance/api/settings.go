package api

import (
	"context"
	"net/http"
	"time"

	"muster/appliance/fleet"
)

var certificateRoutes = []route{
	{Method: "GET", Path: "/certificates", Tag: "certificates", Summary: "Certificates issued to devices", Paged: true, Query: []string{"device", "state", "expires_before"}, Out: page[fleet.CertificateView]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			q, err := c.list()
			if err != nil {
				return nil, err
			}
			before, err := c.moment("expires_before")
			if err != nil {
				return nil, err
			}
			v := c.URL.Query()
			l, err := c.Fleet.Certificates(ctx, c.Actor, fleet.CertificateFilter{Device: fleet.DeviceID(v.Get("device")), State: v.Get("state"), ExpiresBefore: before}, q)
			return paged(l, err, same)
		}},
	{Method: "DELETE", Path: "/certificates/{serial}", Tag: "certificates", Summary: "Revoke a certificate; its profile is issued a new one",
		Do: func(ctx context.Context, c *call) (any, error) {
			return none(c.Fleet.RevokeCertificate(ctx, c.Actor, c.path("serial")))
		}},
}

type termsBody struct {
	Text map[string]string `json:"text"`
}

var termsRoutes = []route{
	{Method: "GET", Path: "/terms", Tag: "terms", Summary: "Versions of the terms of use, newest first", Out: page[fleet.Terms]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			ts, err := c.Fleet.TermsVersions(ctx, c.Actor)
			return paged(fleet.List[*fleet.Terms]{Items: ts, Total: len(ts)}, err, same)
		}},
	{Method: "POST", Path: "/terms", Tag: "terms", Summary: "Save a new version of the terms", In: termsBody{}, Out: fleet.Terms{}, Status: created,
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[termsBody](c)
			if err != nil {
				return nil, err
			}
			return c.Fleet.SaveTerms(ctx, c.Actor, b.Text)
		}},
}

type verifyView struct {
	Broken  uint64 `json:"broken"` // first broken record; 0 = the chain is whole
	Checked int    `json:"checked"`
}

// auditQuery reads the filter of the audit log.
func (c *call) auditQuery() (fleet.AuditQuery, error) {
	q, err := c.list()
	if err != nil {
		return fleet.AuditQuery{}, err
	}
	v := c.URL.Query()
	a := fleet.AuditQuery{ListQuery: q, Object: v.Get("object"), Actor: v.Get("actor"), Verb: v.Get("verb")}
	if a.Since, err = c.moment("since"); err != nil {
		return a, err
	}
	a.Until, err = c.moment("until")
	return a, err
}

var auditFilter = []string{"object", "actor", "verb", "since", "until"}

var auditRoutes = []route{
	{Method: "GET", Path: "/audit", Tag: "audit", Summary: "The audit log", Paged: true, Query: auditFilter, Out: page[fleet.AuditRecord]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			q, err := c.auditQuery()
			if err != nil {
				return nil, err
			}
			l, err := c.Fleet.Audit(ctx, c.Actor, q)
			return paged(l, err, same)
		}},
	{Method: "GET", Path: "/audit/verify", Tag: "audit", Summary: "Walk the chain and look for a break", Out: verifyView{},
		Do: func(ctx context.Context, c *call) (any, error) {
			broken, checked, err := c.Fleet.VerifyAudit(ctx, c.Actor)
			if err != nil {
				return nil, err
			}
			return verifyView{broken, checked}, nil
		}},
	{Method: "GET", Path: "/audit/export", Tag: "audit", Summary: "The audit log as JSON lines, oldest first", Query: auditFilter,
		Raw: func(ctx context.Context, c *call) error {
			q, err := c.auditQuery()
			if err != nil {
				return err
			}
			w := &lateHeader{ResponseWriter: c.w}
			if err := c.Fleet.ExportAudit(ctx, c.Actor, q, w); err != nil {
				if w.started { // the answer is under way: cutting the connection is the only honest end
					panic(http.ErrAbortHandler)
				}
				return err
			}
			w.start()
			return nil
		}},
}

// lateHeader sends the header with the first bytes, so that a refusal before them can still be an error answer.
type lateHeader struct {
	http.ResponseWriter
	started bool
}

func (w *lateHeader) start() {
	if !w.started {
		w.started = true
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.Header().Set("Content-Disposition", `attachment; filename="muster-audit.jsonl"`)
	}
}

func (w *lateHeader) Write(b []byte) (int, error) {
	w.start()
	return w.ResponseWriter.Write(b)
}

type pushBody struct {
	Certificate  string `json:"certificate"` // PEM
	AppleAccount string `json:"apple_account,omitempty"`
}

type csrView struct {
	Request string `json:"request"` // PEM
}

var settingsRoutes = append([]route{
	{Method: "GET", Path: "/settings", Tag: "settings", Summary: "Settings of the organisation", Out: fleet.Settings{},
		Do: func(ctx context.Context, c *call) (any, error) {
			if !c.Actor.May(fleet.SettingsRead) {
				return nil, fleet.Refuse(fleet.ErrForbidden, "forbidden", "permission", string(fleet.SettingsRead))
			}
			return c.Fleet.Settings(ctx)
		}},
	{Method: "PUT", Path: "/settings", Tag: "settings", Summary: "Save the settings", In: fleet.Settings{}, Out: fleet.Settings{},
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[fleet.Settings](c)
			if err != nil {
				return nil, err
			}
			return c.Fleet.SaveSettings(ctx, c.Actor, b)
		}},
	{Method: "GET", Path: "/settings/push", Tag: "settings", Summary: "Apple's push certificate", Out: fleet.PushCertificate{},
		Do: func(ctx context.Context, c *call) (any, error) {
			p, err := c.Fleet.PushCertificate(ctx)
			if err == nil && p == nil {
				return nil, fleet.Refuse(fleet.ErrNotFound, "push.none")
			}
			return p, err
		}},
	{Method: "POST", Path: "/settings/push/request", Tag: "settings", Summary: "Make a key and a request to be signed", Out: csrView{}, Status: created,
		Do: func(ctx context.Context, c *call) (any, error) {
			csr, err := c.Fleet.MakePushCSR(ctx, c.Actor)
			if err != nil {
				return nil, err
			}
			return csrView{string(csr)}, nil
		}},
	{Method: "GET", Path: "/settings/windows-push", Tag: "settings", Summary: "The name under which PCs are pushed through WNS", Out: fleet.WindowsPush{},
		Do: func(ctx context.Context, c *call) (any, error) {
			if !c.Actor.May(fleet.SettingsRead) {
				return nil, fleet.Refuse(fleet.ErrForbidden, "forbidden", "permission", string(fleet.SettingsRead))
			}
			p, err := c.Fleet.WindowsPush(ctx)
			if err == nil && p == nil {
				err = fleet.Refuse(fleet.ErrNotFound, "windows-push.none")
			}
			return p, err
		}},
	{Method: "PUT", Path: "/settings/windows-push", Tag: "settings", Summary: "Set push for PCs up; an absent secret stays as it is", In: fleet.WindowsPushInput{}, Out: fleet.WindowsPush{},
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[fleet.WindowsPushInput](c)
			if err != nil {
				return nil, err
			}
			return c.Fleet.SaveWindowsPush(ctx, c.Actor, b)
		}},
	{Method: "DELETE", Path: "/settings/windows-push", Tag: "settings", Summary: "Take push for PCs back; they call every ten minutes all the same",
		Do: func(ctx context.Context, c *call) (any, error) {
			return none(c.Fleet.RemoveWindowsPush(ctx, c.Actor))
		}},
	{Method: "PUT", Path: "/settings/push", Tag: "settings", Summary: "Upload the certificate from Apple's portal", In: pushBody{}, Out: fleet.PushCertificate{},
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[pushBody](c)
			if err != nil {
				return nil, err
			}
			return c.Fleet.UploadPush(ctx, c.Actor, []byte(b.Certificate), b.AppleAccount)
		}},
	{Method: "GET", Path: "/register", Tag: "settings", Summary: "The register of data: all that may be stored, and why", Out: page[fleet.FactDeclaration]{},
		Do: func(context.Context, *call) (any, error) {
			all := fleet.Declarations()
			return paged(fleet.List[fleet.FactDeclaration]{Items: all, Total: len(all)}, nil, same)
		}},
}, tlsRoutes...)

type adminBody struct {
	Mail      *string       `json:"mail,omitempty"`
	Name      *string       `json:"name,omitempty"`
	Password  *string       `json:"password,omitempty"`
	Language  *string       `json:"language,omitempty"`
	Theme     *string       `json:"theme,omitempty"`
	Role      *fleet.RoleID `json:"role,omitempty"`
	Tags      *[]fleet.Tag  `json:"tags,omitempty"`
	AllTags   *bool         `json:"all_tags,omitempty"`
	Disabled  *bool         `json:"disabled,omitempty"`
	ResetTOTP bool          `json:"reset_totp,omitempty"`
	Version   int           `json:"version,omitempty"`
}

func (b adminBody) input() fleet.AdminInput {
	return fleet.AdminInput{Mail: b.Mail, Name: b.Name, Password: b.Password, Language: b.Language, Theme: b.Theme, Role: b.Role, Tags: b.Tags,
		AllTags: b.AllTags, Disabled: b.Disabled, ResetTOTP: b.ResetTOTP, Version: b.Version}
}

// adminView leaves every hash and secret out.
type adminView struct {
	ID         fleet.AdminID `json:"id"`
	Mail       string        `json:"mail"`
	Name       string        `json:"name"`
	Role       fleet.RoleID  `json:"role"`
	Tags       []fleet.Tag   `json:"tags,omitempty"`
	AllTags    bool          `json:"all_tags"`
	Language   string        `json:"language,omitempty"`
	Disabled   bool          `json:"disabled"`
	TOTP       bool          `json:"totp"` // a second factor is set up
	Created    time.Time     `json:"created,omitzero"`
	LastSignIn *time.Time    `json:"last_sign_in,omitempty"`
	Version    int           `json:"version"`
}

func adminOf(a *fleet.Admin) adminView {
	return adminView{ID: a.ID, Mail: a.Mail, Name: a.Name, Role: a.Role, Tags: a.Tags, AllTags: a.AllTags, Language: a.Language, Disabled: a.Disabled,
		TOTP: len(a.TOTP) > 0, Created: a.Created, LastSignIn: a.LastSignIn, Version: a.Version}
}

func viewOf[T, V any](v T, err error, view func(T) V) (any, error) {
	if err != nil {
		return nil, err
	}
	return view(v), nil
}

// tokenView leaves the hash out. Tokens are made by signed-in administrators only: one that could make others would outlive its end.
type tokenView struct {
	ID          fleet.TokenID      `json:"id"`
	Name        string             `json:"name"`
	Admin       fleet.AdminID      `json:"admin"`
	Permissions []fleet.Permission `json:"permissions"`
	Created     time.Time          `json:"created,omitzero"`
	Expires     time.Time          `json:"expires,omitzero"`
	LastUsed    *time.Time         `json:"last_used,omitempty"`
}

func tokenOf(t *fleet.Token) tokenView {
	return tokenView{ID: t.ID, Name: t.Name, Admin: t.Admin, Permissions: t.Permissions, Created: t.Created, Expires: t.Expires, LastUsed: t.LastUsed}
}

var adminRoutes = []route{
	{Method: "GET", Path: "/admins", Tag: "admins", Summary: "List administrators", Paged: true, Out: page[adminView]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			q, err := c.list()
			if err != nil {
				return nil, err
			}
			l, err := c.Fleet.Admins(ctx, c.Actor, q)
			return paged(l, err, adminOf)
		}},
	{Method: "POST", Path: "/admins", Tag: "admins", Summary: "Add an administrator", In: adminBody{}, Out: adminView{}, Status: created,
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[adminBody](c)
			if err != nil {
				return nil, err
			}
			a, err := c.Fleet.CreateAdmin(ctx, c.Actor, b.input())
			return viewOf(a, err, adminOf)
		}},
	{Method: "GET", Path: "/admins/{id}", Tag: "admins", Summary: "One administrator", Out: adminView{},
		Do: func(ctx context.Context, c *call) (any, error) {
			a, err := c.Fleet.Admin(ctx, c.Actor, fleet.AdminID(c.path("id")))
			return viewOf(a, err, adminOf)
		}},
	{Method: "PATCH", Path: "/admins/{id}", Tag: "admins", Summary: "Change an administrator", In: adminBody{}, Out: adminView{},
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[adminBody](c)
			if err != nil {
				return nil, err
			}
			a, err := c.Fleet.UpdateAdmin(ctx, c.Actor, fleet.AdminID(c.path("id")), b.input())
			return viewOf(a, err, adminOf)
		}},
	{Method: "DELETE", Path: "/admins/{id}", Tag: "admins", Summary: "Delete an administrator; the last owner stays",
		Do: func(ctx context.Context, c *call) (any, error) {
			return none(c.Fleet.DeleteAdmin(ctx, c.Actor, fleet.AdminID(c.path("id"))))
		}},
	{Method: "GET", Path: "/roles", Tag: "admins", Summary: "Roles and their permissions", Out: page[fleet.Role]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			rs, err := c.Fleet.Roles(ctx, c.Actor)
			return paged(fleet.List[*fleet.Role]{Items: rs, Total: len(rs)}, err, same)
		}},
	{Method: "POST", Path: "/roles", Tag: "admins", Summary: "Make or change a role of your own", In: fleet.Role{}, Out: fleet.Role{},
		Do: func(ctx context.Context, c *call) (any, error) {
			b, err := decode[fleet.Role](c)
			if err != nil {
				return nil, err
			}
			return c.Fleet.SaveRole(ctx, c.Actor, b)
		}},
	{Method: "DELETE", Path: "/roles/{id}", Tag: "admins", Summary: "Delete a role that nobody has",
		Do: func(ctx context.Context, c *call) (any, error) {
			return none(c.Fleet.DeleteRole(ctx, c.Actor, fleet.RoleID(c.path("id"))))
		}},
	{Method: "GET", Path: "/tokens", Tag: "tokens", Summary: "API tokens", Out: page[tokenView]{},
		Do: func(ctx context.Context, c *call) (any, error) {
			ts, err := c.Fleet.Tokens(ctx, c.Actor)
			return paged(fleet.List[*fleet.Token]{Items: ts, Total: len(ts)}, err, tokenOf)
		}},
	{Method: "DELETE", Path: "/tokens/{id}", Tag: "tokens", Summary: "Revoke a token",
		Do: func(ctx context.Context, c *call) (any, error) {
			return none(c.Fleet.RevokeToken(ctx, c.Actor, fleet.TokenID(c.path("id"))))
		}},
}
