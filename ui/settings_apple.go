package ui

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"muster/appliance/fleet"
)

func (u *UI) appleRoutes() {
	u.admin("GET /settings/apple", u.apple)
	u.admin("POST /settings/apple", u.saveApple)
	u.admin("POST /settings/apple/request", u.pushRequest)
	u.admin("POST /settings/apple/certificate", u.uploadPush)
}

type applePage struct {
	Tabs    []Tab
	Form    Form // of the upload
	Edit    bool
	Push    *fleet.PushCertificate
	Status  Status
	Facts   []FactLine
	Signing []lockedSetting
	On      map[string]bool
	Version int
	Topic   *topicRefusal // an upload that would have cut every device off
	Do      string        // what to do about the end of the certificate
	Kind    Kind
}

// topicRefusal explains why a certificate of another topic was refused.
type topicRefusal struct{ Text, Account string }

func (u *UI) apple(q *Request) error { return u.showApple(q, http.StatusOK, Form{}, nil) }

func (u *UI) showApple(q *Request, status int, form Form, topic *topicRefusal) error {
	if err := q.mayReadSettings(); err != nil {
		return err
	}
	s, err := u.fleet.Settings(q.Context())
	if err != nil {
		return err
	}
	page := applePage{Tabs: q.settingsTabs("apple"), Form: form, Edit: q.Actor.MayWhole(fleet.SettingsEdit), Version: s.Version, Topic: topic,
		On: map[string]bool{"sign_messages": s.SignMessages, "sign_profiles": s.SignProfiles}}
	if page.Push, err = u.fleet.PushCertificate(q.Context()); err != nil {
		return err
	}
	locked := lockedSet(s)
	for _, name := range []string{"sign_messages", "sign_profiles"} {
		page.Signing = append(page.Signing, lockedSetting{Name: name, Label: q.T("apple." + name), Hint: q.T("apple." + name + ".hint"), Locked: locked[name]})
	}
	page.Status, page.Kind, page.Do = Status{Kind: Bad, Word: q.T("apple.missing")}, Bad, q.T("apple.missing.do")
	if p := page.Push; p != nil {
		page.Status = q.endStatus(p.NotAfter, 60)
		page.Kind = page.Status.Kind
		page.Do = q.T("apple.well.do", "end", q.Words.Date(p.NotAfter))
		if page.Kind != Good {
			page.Do = q.T("apple.renew.do", "account", p.AppleAccount)
		}
		page.Facts = []FactLine{
			{Name: q.T("apple.account"), Value: p.AppleAccount, Hint: q.T("apple.account.remember")},
			{Name: q.T("apple.end"), Value: q.Words.Date(p.NotAfter), Hint: q.Words.Ago(p.NotAfter)},
			{Name: q.T("apple.topic"), Value: p.Topic, Mono: true, Hint: q.T("apple.topic.hint")},
			{Name: q.T("apple.uploaded"), Value: q.Words.DateTime(p.Uploaded), Hint: q.T("apple.uploaded.by", "name", p.By)},
			{Name: q.T("apple.fingerprint"), Value: p.Fingerprint, Mono: true},
		}
		if page.Form.Values == nil {
			page.Form.Values = url.Values{"apple_account": {p.AppleAccount}}
		}
	}
	page.Status = page.Status.AsPill()
	return q.PageStatus(status, "app/settings-apple", Page{Title: q.T("settings.tab.apple"), Data: page})
}

func (u *UI) saveApple(q *Request) error {
	form, err := q.ReadForm()
	if err != nil {
		return err
	}
	_, err = u.changeSettings(q, form, func(s *fleet.Settings, locked map[string]bool) {
		if !locked["sign_messages"] {
			s.SignMessages = form.Value("sign_messages") != ""
		}
		if !locked["sign_profiles"] {
			s.SignProfiles = form.Value("sign_profiles") != ""
		}
	})
	if err != nil {
		if q.Refused(&form, err) {
			form.Values = nil
			return u.showApple(q, http.StatusConflict, form, nil)
		}
		return err
	}
	q.Flash(Good, "settings.saved")
	return q.Redirect("/settings/apple")
}

// pushRequest makes a key, keeps it sealed, and hands out the request to be signed.
func (u *UI) pushRequest(q *Request) error {
	csr, err := u.fleet.MakePushCSR(q.Context(), q.Actor)
	if err != nil {
		return err
	}
	h := q.W.Header()
	h.Set("Content-Type", "application/pkcs10")
	h.Set("Content-Disposition", `attachment; filename="muster-push.csr"`)
	_, _ = q.W.Write(csr) // a reader that went away is no error of ours
	return nil
}

// uploadPush takes the certificate as a file or as pasted text.
func (u *UI) uploadPush(q *Request) error {
	form, err := q.ReadUpload()
	if err != nil {
		return err
	}
	pem := []byte(strings.TrimSpace(form.Value("pasted")))
	if raw, err := q.Uploaded("certificate"); err != nil {
		return err
	} else if len(raw) > 0 {
		pem = raw
	}
	if len(pem) == 0 && q.Actor.MayWhole(fleet.SettingsEdit) {
		form.Errors["certificate"] = q.T("apple.upload.none")
		return u.showApple(q, http.StatusUnprocessableEntity, form, nil)
	}
	push, err := u.fleet.UploadPush(q.Context(), q.Actor, pem, strings.TrimSpace(form.Value("apple_account")))
	if err != nil {
		var refusal *fleet.Refusal
		if errors.As(err, &refusal) && refusal.Reason.Code == "push.topic-differs" {
			topic := &topicRefusal{Text: q.Say(refusal.Reason)}
			if old, err := u.fleet.PushCertificate(q.Context()); err == nil && old != nil {
				topic.Account = old.AppleAccount
			}
			return u.showApple(q, http.StatusConflict, form, topic)
		}
		if q.Refused(&form, err) {
			return u.showApple(q, http.StatusUnprocessableEntity, form, nil)
		}
		return err
	}
	q.Flash(Good, "apple.upload.done", "end", q.Words.Date(push.NotAfter))
	return q.Redirect("/settings/apple")
}
