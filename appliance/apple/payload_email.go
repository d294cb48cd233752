package apple

import "muster/appliance/fleet"

const roleEmail = "email"

// easPayload is an Exchange ActiveSync account on iPhone and iPad (com.apple.eas.account). The password is never in it.
type easPayload struct {
	header
	EmailAddress                   string
	Host                           string
	SSL                            bool
	UserName                       string
	OAuth                          bool   `plist:",omitempty"` // iOS 12
	OAuthSignInURL                 string `plist:",omitempty"`
	OAuthTokenRequestURL           string `plist:",omitempty"`
	PayloadCertificateUUID         string `plist:",omitempty"`
	MailNumberOfPastDaysToSync     int
	EnableMail                     bool
	EnableContacts                 bool
	EnableCalendars                bool
	EnableReminders                bool
	EnableNotes                    bool
	EnableMailUserOverridable      bool
	EnableContactsUserOverridable  bool
	EnableCalendarsUserOverridable bool
	EnableRemindersUserOverridable bool
	EnableNotesUserOverridable     bool
	PreventMove                    bool
	PreventAppSheet                bool
	DisableMailRecentsSyncing      bool `plist:"disableMailRecentsSyncing"`
	AllowMailDrop                  bool `plist:"allowMailDrop"`
}

// ewsPayload is an Exchange account on a Mac (com.apple.ews.account), in the person's channel only.
type ewsPayload struct {
	header
	EmailAddress           string
	Host                   string
	SSL                    bool
	UserName               string
	OAuth                  bool   `plist:",omitempty"` // macOS 10.14
	OAuthSignInURL         string `plist:",omitempty"`
	PayloadCertificateUUID string `plist:",omitempty"` // macOS 10.12
	Port                   int    `plist:",omitempty"`
	Path                   string `plist:",omitempty"`
	ExternalHost           string `plist:",omitempty"`
	AllowMailDrop          bool   `plist:"allowMailDrop"`
}

// imapPayload is an IMAP account (com.apple.mail.managed). UseSSL means TLS from the start on port 993 and STARTTLS on others: the device
// chooses by port.
type imapPayload struct {
	header
	EmailAccountDescription          string
	EmailAccountName                 string `plist:",omitempty"`
	EmailAccountType                 string
	EmailAddress                     string
	IncomingMailServerAuthentication string
	IncomingMailServerHostName       string
	IncomingMailServerPortNumber     int
	IncomingMailServerUseSSL         bool
	IncomingMailServerUsername       string
	IncomingMailServerIMAPPathPrefix string `plist:",omitempty"`
	OutgoingMailServerAuthentication string
	OutgoingMailServerHostName       string
	OutgoingMailServerPortNumber     int
	OutgoingMailServerUseSSL         bool
	OutgoingMailServerUsername       string `plist:",omitempty"`
	PreventMove                      *bool  `plist:",omitempty"` // not on a Mac, like the next two
	PreventAppSheet                  *bool  `plist:",omitempty"`
	DisableMailRecentsSyncing        *bool  `plist:"disableMailRecentsSyncing,omitempty"`
	AllowMailDrop                    bool   `plist:"allowMailDrop"`
}

// email renders a mail account: Exchange over ActiveSync on iPhone and iPad and over EWS on a Mac, IMAP on either.
func (r *rendering) email(p *fleet.Profile) ([]any, error) {
	v := r.settings[p.ID]
	identity, err := r.identityOf(v)
	if err != nil {
		return nil, err
	}
	switch {
	case v.String("account") == "imap":
		return []any{r.imap(p, v)}, nil
	case r.platform == fleet.MacOS:
		return []any{r.ews(p, v, identity)}, nil
	}
	return []any{r.eas(p, v, identity)}, nil
}

// identityOf gives the UUID of the identity payload that signs in, which must be in the same profile; "" without one.
func (r *rendering) identityOf(v fleet.Values) (string, error) {
	if v.String("sign_in") != "certificate" {
		return "", nil
	}
	return r.uuidOf(fleet.TypeIdentity, v.String("identity"))
}

// accountHead names the payload as the account is to be called on the device.
func (r *rendering) accountHead(kind string, p *fleet.Profile, v fleet.Values) header {
	h := r.head(kind, p, roleEmail)
	if name := v.String("account_name"); name != "" {
		h.PayloadDisplayName = shorten(name)
	}
	return h
}

func (r *rendering) eas(p *fleet.Profile, v fleet.Values, identity string) easPayload {
	change := v.Bool("sync_changeable")
	return easPayload{
		header:                         r.accountHead("com.apple.eas.account", p, v),
		EmailAddress:                   v.String("address"),
		Host:                           v.String("host"),
		SSL:                            true,
		UserName:                       v.String("user_name"),
		OAuth:                          v.String("sign_in") == "oauth",
		OAuthSignInURL:                 v.String("oauth_sign_in_url"),
		OAuthTokenRequestURL:           v.String("oauth_token_url"),
		PayloadCertificateUUID:         identity,
		MailNumberOfPastDaysToSync:     v.Int("days"),
		EnableMail:                     v.Bool("sync_mail"),
		EnableContacts:                 v.Bool("sync_contacts"),
		EnableCalendars:                v.Bool("sync_calendars"),
		EnableReminders:                v.Bool("sync_reminders"),
		EnableNotes:                    v.Bool("sync_notes"),
		EnableMailUserOverridable:      change,
		EnableContactsUserOverridable:  change,
		EnableCalendarsUserOverridable: change,
		EnableRemindersUserOverridable: change,
		EnableNotesUserOverridable:     change,
		PreventMove:                    v.Bool("prevent_move"),
		PreventAppSheet:                v.Bool("prevent_other_apps"),
		DisableMailRecentsSyncing:      v.Bool("prevent_recents"),
		AllowMailDrop:                  v.Bool("mail_drop"),
	}
}

func (r *rendering) ews(p *fleet.Profile, v fleet.Values, identity string) ewsPayload {
	return ewsPayload{
		header:                 r.accountHead("com.apple.ews.account", p, v),
		EmailAddress:           v.String("address"),
		Host:                   v.String("host"),
		SSL:                    true,
		UserName:               v.String("user_name"),
		OAuth:                  v.String("sign_in") == "oauth",
		OAuthSignInURL:         v.String("oauth_sign_in_url"),
		PayloadCertificateUUID: identity,
		Port:                   v.Int("ews_port"),
		Path:                   v.String("ews_path"),
		ExternalHost:           v.String("external_host"),
		AllowMailDrop:          v.Bool("mail_drop"),
	}
}

func (r *rendering) imap(p *fleet.Profile, v fleet.Values) imapPayload {
	out := imapPayload{
		header:                           r.accountHead("com.apple.mail.managed", p, v),
		EmailAccountDescription:          v.String("account_name"),
		EmailAccountName:                 v.String("sender_name"),
		EmailAccountType:                 "EmailTypeIMAP",
		EmailAddress:                     v.String("address"),
		IncomingMailServerAuthentication: "EmailAuthPassword",
		IncomingMailServerHostName:       v.String("host"),
		IncomingMailServerPortNumber:     v.Int("port"),
		IncomingMailServerUseSSL:         true,
		IncomingMailServerUsername:       v.String("user_name"),
		IncomingMailServerIMAPPathPrefix: v.String("path_prefix"),
		OutgoingMailServerAuthentication: "EmailAuthNone",
		OutgoingMailServerHostName:       v.String("smtp_host"),
		OutgoingMailServerPortNumber:     v.Int("smtp_port"),
		OutgoingMailServerUseSSL:         true,
		AllowMailDrop:                    v.Bool("mail_drop"),
	}
	if v.Bool("smtp_sign_in") {
		out.OutgoingMailServerAuthentication = "EmailAuthPassword"
		out.OutgoingMailServerUsername = v.String("user_name")
	}
	if r.platform != fleet.MacOS {
		out.PreventMove = ref(v.Bool("prevent_move"))
		out.PreventAppSheet = ref(v.Bool("prevent_other_apps"))
		out.DisableMailRecentsSyncing = ref(v.Bool("prevent_recents"))
	}
	return out
}

func ref[T any](v T) *T { return &v }
