package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"muster/store"
)

// profileVersions keeps every version of a profile, the present one too.
var profileVersions = store.Define("pv", func(p *Profile) string { return profileVersionID(p.ID, p.Version) })

func profileVersionID(id ProfileID, version int) string { return fmt.Sprintf("%s.%08d", id, version) }

// platforms that a profile may name: a type that does not go somewhere yet says so, and nothing breaks when it learns to.
var allPlatforms = []Platform{IOS, IPadOS, MacOS, Windows, Android}

// buildProfile makes the profile that in asks for, changing old (nil: a new one), and checks it against the store. Nothing is written.
func (f *Fleet) buildProfile(tx store.Tx, a Actor, old *Profile, in ProfileInput) (*Profile, error) {
	if string(bytes.TrimSpace(in.Settings)) == "null" {
		in.Settings = nil
	}
	now := f.now().UTC()
	p := &Profile{ID: ProfileID(store.NewID()), Type: in.Type, Created: now, Platforms: declarationOf(in.Type).platforms(), Tags: tagsFor(a)}
	if old != nil {
		c := *old
		p = &c
	}
	bad := faults{}
	if old == nil && !slices.ContainsFunc(declarations, func(d Declaration) bool { return d.Type == in.Type }) {
		bad.put("type", "input.choice", "value", clip(string(in.Type), 60))
		return nil, bad.refuse("profile.invalid")
	}
	if p.Type == TypeCustom {
		if err := need(a, ProfilesCustom); err != nil {
			return nil, err
		}
	}
	if old != nil && in.Type != "" && in.Type != old.Type {
		bad.put("type", "profile.type-fixed")
	}
	if in.Name != nil {
		p.Name = strings.TrimSpace(*in.Name)
	}
	bad.line("name", p.Name, 1, 200)
	if in.Description != nil {
		p.Description = strings.TrimSpace(*in.Description)
	}
	bad.text("description", p.Description, 0, 2000)
	if in.Platforms != nil {
		p.Platforms = checkPlatforms(*in.Platforms, bad)
	}
	if in.Tags != nil {
		p.Tags = sortedTags(*in.Tags)
	}
	bad.tags("tags", p.Tags)
	if old == nil || in.Settings != nil || in.Platforms != nil {
		raw := in.Settings
		if raw == nil {
			raw = p.Settings
		}
		if err := f.buildSettings(tx, a, old, p, raw, bad); err != nil {
			return nil, err
		}
	}
	if err := bad.refuse("profile.invalid"); err != nil {
		return nil, err
	}
	var oldTags []Tag
	if old != nil {
		oldTags = old.Tags
	}
	if err := keepsScope(a, oldTags, p.Tags); err != nil {
		return nil, err
	}
	switch other, err := profiles.Find(tx, "name", strings.ToLower(p.Name)); {
	case err == nil && other.ID != p.ID:
		return nil, refuseField(ErrConflict, "name", Why("profile.name-taken", "name", p.Name))
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return nil, fmt.Errorf("find profile by name: %w", err)
	}
	p.Updated = now
	p.Version++
	if old == nil || !bytes.Equal(old.Settings, p.Settings) || !slices.Equal(old.Platforms, p.Platforms) {
		p.Revision++
	}
	return p, nil
}

func checkPlatforms(in []Platform, bad faults) []Platform {
	if len(in) == 0 {
		bad.put("platforms", "input.required")
	}
	var out []Platform
	for _, known := range allPlatforms {
		if slices.Contains(in, known) {
			out = append(out, known)
		}
	}
	for _, p := range in {
		if !slices.Contains(allPlatforms, p) {
			bad.put("platforms", "input.choice", "value", clip(string(p), 60))
		}
	}
	return out
}

// buildSettings checks raw and stores it in p in its full form.
func (f *Fleet) buildSettings(tx store.Tx, a Actor, old, p *Profile, raw json.RawMessage, bad faults) error {
	d := declarationOf(p.Type)
	known, err := f.secretsOf(a, old)
	if err != nil {
		return err
	}
	v := d.check(raw, p.Platforms, known, bad)
	if p.Type == TypeTrustedRoot && v.Has("certificate") {
		if c, err := ParseCertificate(v.String("certificate")); err == nil && !f.now().Before(c.NotAfter) {
			bad.put("settings.certificate", "certificate.expired", "subject", c.Subject.String(), "at", c.NotAfter.UTC().Format("2006-01-02"))
		}
	}
	var was []ProfileID
	if old != nil {
		was = old.Values().refs(old.Type)
	}
	for _, fd := range d.Fields {
		id := ProfileID(v.String(fd.Key))
		if fd.Kind != KindProfile || id == "" {
			continue
		}
		ref, err := profiles.Get(tx, string(id))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return fmt.Errorf("read profile: %w", err)
		}
		if err != nil || ref.Type != fd.RefType || !sees(a, ref.Tags) && !slices.Contains(was, id) {
			bad.put("settings."+fd.Key, "profile.no-such-reference", "type", string(fd.RefType))
		}
	}
	f.sealSecrets(p, v, known)
	b, err := json.Marshal(v) // keys sorted
	if err != nil {
		return fmt.Errorf("encode settings: %w", err)
	}
	p.Settings = b
	for _, pl := range p.Platforms {
		checker, ok := f.modules[pl].(SettingsChecker)
		if !ok {
			continue
		}
		for key, r := range checker.CheckSettings(p) {
			if _, there := bad["settings."+key]; !there {
				bad["settings."+key] = r
			}
		}
	}
	return nil
}

// putProfile writes a profile and its version.
func putProfile(tx store.Tx, p *Profile) error {
	if err := profiles.Put(tx, p); err != nil {
		return fmt.Errorf("save profile: %w", err)
	}
	if err := profileVersions.Put(tx, p); err != nil {
		return fmt.Errorf("save version of profile: %w", err)
	}
	return touchConfig(tx)
}

// CreateProfile makes a profile that is assigned to nobody.
func (f *Fleet) CreateProfile(ctx context.Context, a Actor, in ProfileInput) (*Profile, error) {
	if err := need(a, ProfilesEdit); err != nil {
		return nil, err
	}
	return updated(ctx, f, func(tx store.Tx) (*Profile, error) {
		p, err := f.buildProfile(tx, a, nil, in)
		if err != nil {
			return nil, err
		}
		if err := putProfile(tx, p); err != nil {
			return nil, err
		}
		if err := f.record(tx, a, "create", "profile/"+string(p.ID), p.Name, p.Tags, nil, p.shown()); err != nil {
			return nil, err
		}
		f.publish(tx, "profile", string(p.ID))
		return p.shown(), nil
	})
}

// UpdateProfile makes a new version; it reaches devices as one (B9). A change of name, description or tags alone is no new revision and
// installs nothing anew.
func (f *Fleet) UpdateProfile(ctx context.Context, a Actor, id ProfileID, in ProfileInput) (*Profile, error) {
	if err := need(a, ProfilesEdit); err != nil {
		return nil, err
	}
	return updated(ctx, f, func(tx store.Tx) (*Profile, error) {
		old, err := f.profileSeen(tx, a, id)
		if err != nil {
			return nil, err
		}
		if err := meanwhile(in.Version, old.Version, "profile"); err != nil {
			return nil, err
		}
		p, err := f.buildProfile(tx, a, old, in)
		if err != nil {
			return nil, err
		}
		if err := putProfile(tx, p); err != nil {
			return nil, err
		}
		if err := f.record(tx, a, "update", "profile/"+string(id), p.Name, p.Tags, old.shown(), p.shownAfter(old)); err != nil {
			return nil, err
		}
		if p.Revision != old.Revision || p.Name != old.Name {
			if err := f.noteChange(tx, changeScope{Profile: id, Why: "profile"}); err != nil {
				return nil, err
			}
		}
		f.publish(tx, "profile", string(id))
		return p.shown(), nil
	})
}

// DeleteProfile unassigns it everywhere first: it goes from the devices. Refused while another profile refers to it. Its versions stay,
// as history.
func (f *Fleet) DeleteProfile(ctx context.Context, a Actor, id ProfileID) error {
	if err := need(a, ProfilesEdit); err != nil {
		return err
	}
	return f.db.Update(ctx, func(tx store.Tx) error {
		p, err := f.profileSeen(tx, a, id)
		if err != nil {
			return err
		}
		c, err := f.config(tx)
		if err != nil {
			return err
		}
		if by := c.referrers(id); len(by) > 0 {
			name := ""
			for _, r := range by {
				if sees(a, r.Tags) && name == "" {
					name = r.Name
				}
			}
			return Refuse(ErrConflict, "profile.referred-to", "profile", p.Name, "by", name)
		}
		if len(c.to[id]) > 0 {
			if err := need(a, ProfilesAssign); err != nil {
				return err
			}
		}
		for _, as := range c.to[id] {
			if err := f.mayTouch(tx, a, as); err != nil {
				return err
			}
			if err := assignments.Delete(tx, string(as.ID)); err != nil {
				return fmt.Errorf("delete assignment: %w", err)
			}
		}
		if err := profiles.Delete(tx, string(id)); err != nil {
			return fmt.Errorf("delete profile: %w", err)
		}
		if err := touchConfig(tx); err != nil {
			return err
		}
		if err := f.record(tx, a, "delete", "profile/"+string(id), p.Name, p.Tags, p.shown(), nil); err != nil {
			return err
		}
		if err := f.noteChange(tx, changeScope{Profile: id, Why: "profile"}); err != nil {
			return err
		}
		f.publish(tx, "profile", string(id))
		return nil
	})
}

// profileSeen reads a profile within the actor's scope.
func (f *Fleet) profileSeen(tx store.Tx, a Actor, id ProfileID) (*Profile, error) {
	p, err := profiles.Get(tx, string(id))
	if err != nil {
		return nil, notFound(err, "profile")
	}
	if !sees(a, p.Tags) {
		return nil, Refuse(ErrNotFound, "not-found", "what", "profile")
	}
	return p, nil
}
