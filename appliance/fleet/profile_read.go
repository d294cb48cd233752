package fleet

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"

	"muster/store"
)

// Profile returns one profile.
func (f *Fleet) Profile(ctx context.Context, a Actor, id ProfileID) (*Profile, error) {
	if err := need(a, ProfilesRead); err != nil {
		return nil, err
	}
	return viewed(ctx, f, func(tx store.Tx) (*Profile, error) {
		p, err := f.profileSeen(tx, a, id)
		if err != nil {
			return nil, err
		}
		return p.shown(), nil
	})
}

// Profiles lists profiles by name.
func (f *Fleet) Profiles(ctx context.Context, a Actor, q ListQuery) (List[*Profile], error) {
	out := List[*Profile]{Total: -1}
	if err := need(a, ProfilesRead); err != nil {
		return out, err
	}
	// Profiles are few and held in memory: see config.
	err := f.db.View(ctx, func(tx store.Tx) error {
		c, err := f.config(tx)
		if err != nil {
			return err
		}
		words := splitSearch(q.Search)
		var all []*Profile
		for _, p := range c.profiles {
			if sees(a, p.Tags) && beginsWithAll(searchWords(p.Name, p.Description, string(p.Type)), words) {
				one := *p.shown()
				all = append(all, &one)
			}
		}
		slices.SortFunc(all, func(x, y *Profile) int {
			return cmp.Or(cmp.Compare(strings.ToLower(x.Name), strings.ToLower(y.Name)), cmp.Compare(x.ID, y.ID))
		})
		if q.Reverse {
			slices.Reverse(all)
		}
		out.Items, out.Next, out.Total, err = countedPage(all, q, len(all))
		return err
	})
	return out, err
}

// ProfileVersions, newest first, the latest 200.
func (f *Fleet) ProfileVersions(ctx context.Context, a Actor, id ProfileID) ([]*Profile, error) {
	if err := need(a, ProfilesRead); err != nil {
		return nil, err
	}
	var out []*Profile
	err := f.db.View(ctx, func(tx store.Tx) error {
		if _, err := f.profileSeen(tx, a, id); err != nil {
			return err
		}
		q := store.Query{From: string(id) + ".", To: string(id) + "/", Reverse: true, Limit: 200}
		return profileVersions.Each(tx, q, func(p *Profile) (bool, error) {
			out = append(out, p.shown())
			return true, nil
		})
	})
	return out, err
}

// CheckProfile validates without saving; the refusal's Fields say what is wrong. Notes are what does not apply where, and
// warnings (existing accounts, who will be asked for a password).
func (f *Fleet) CheckProfile(ctx context.Context, a Actor, in ProfileInput) (notes []Reason, err error) {
	if err := need(a, ProfilesEdit); err != nil {
		return nil, err
	}
	err = f.db.View(ctx, func(tx store.Tx) error {
		var old *Profile
		if in.ID != "" {
			if old, err = f.profileSeen(tx, a, in.ID); err != nil {
				return err
			}
		}
		p, err := f.buildProfile(tx, a, old, in)
		if err != nil {
			return err
		}
		notes = append(f.platformNotes(p), f.moduleNotes(p)...)
		more, err := f.accountNotes(tx, a, old, p)
		notes = append(notes, more...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return notes, nil
}

// platformNotes say where a profile, or one of its settings, does not apply.
func (f *Fleet) platformNotes(p *Profile) []Reason {
	var notes []Reason
	d, v := declarationOf(p.Type), p.Values()
	for _, pl := range p.Platforms {
		applies := false
		var why Reason
		var said []Reason
		for _, t := range notedTargets(pl) {
			ok, r := f.applies(p, t)
			if applies = applies || ok; ok {
				continue
			}
			why = r
			if t.Mode == ModeDevice {
				said = append(said, Why("profile.not-on-ownership", "platform", string(pl), "ownership", string(t.Ownership)))
			} else {
				said = append(said, Why("profile.not-on-mode", "platform", string(pl), "mode", string(t.Mode)))
			}
		}
		if !applies {
			notes = append(notes, why)
			continue
		}
		notes = append(notes, said...)
		if pl == IOS || pl == IPadOS {
			for _, fd := range d.Fields {
				if fd.Supervised && fd.Honours(pl) && v.Bool(fd.Key) {
					notes = append(notes, Why("profile.setting-supervised", "type", string(p.Type), "setting", fd.Key, "platform", string(pl)))
				}
			}
		}
		for _, fd := range d.Fields {
			x, set := v[fd.Key]
			if !set || fd.Honours(pl) || !v.Counts(d, fd) || sameValue(x, fd.Default) {
				continue
			}
			notes = append(notes, Why("profile.setting-not-on-platform", "type", string(p.Type), "setting", fd.Key, "platform", string(pl)))
		}
	}
	return notes
}

// notedTargets are the targets of a platform, devices of the organisation first.
func notedTargets(p Platform) []Target {
	out := TargetsOf(p)
	slices.SortStableFunc(out, func(a, b Target) int { return strings.Compare(string(a.Ownership), string(b.Ownership)) })
	return out
}

func sameValue(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

// accountNotes say what a mail account asks of people.
func (f *Fleet) accountNotes(tx store.Tx, a Actor, old, p *Profile) ([]Reason, error) {
	if p.Type != TypeEmail {
		return nil, nil
	}
	var notes []Reason
	v := p.Values()
	if v.String("account") == "exchange" && (slices.Contains(p.Platforms, IOS) || slices.Contains(p.Platforms, IPadOS)) {
		notes = append(notes, Why("email.existing-account-blocks"))
	}
	if slices.Contains(p.Platforms, Windows) {
		notes = append(notes, Why("email.windows-mail-ended"), Why("email.existing-account-overwritten"))
	}
	if v.String("sign_in") == "certificate" {
		return notes, nil
	}
	if old == nil {
		return append(notes, Why("email.person-signs-in", "sign_in", v.String("sign_in"))), nil
	}
	if !asks(old.Values(), v) {
		return notes, nil
	}
	counts := map[ProfileStatusCode]int{}
	c, err := deliveryCounts.Get(tx, string(p.ID))
	if err == nil {
		c.within(a, counts)
	} else if !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if n := counts[StatusSucceeded] + counts[StatusWaitsPerson]; n > 0 {
		notes = append(notes, Why("email.asked-again", "devices", strconv.Itoa(n)))
	}
	return notes, nil
}

// asks says whether an edit of a mail account makes devices ask for password or sign-in once more (P70).
func asks(old, v Values) bool {
	return slices.ContainsFunc(asksAgain, func(key string) bool { return !sameValue(old[key], v[key]) })
}

// PreviewProfile fills a profile's settings for one person, as it is or (in not nil) as it would be after a save; nothing is written.
func (f *Fleet) PreviewProfile(ctx context.Context, a Actor, id ProfileID, in *ProfileInput, person PersonID) (Values, error) {
	if err := need(a, ProfilesRead); err != nil {
		return nil, err
	}
	if err := need(a, PeopleRead); err != nil {
		return nil, err
	}
	return viewed(ctx, f, func(tx store.Tx) (Values, error) {
		p, err := f.profileAsOf(tx, a, id, in)
		if err != nil {
			return Values{}, err
		}
		who, err := f.personSeen(tx, a, person)
		if err != nil {
			return Values{}, err
		}
		return Fill(p.shown(), who)
	})
}

// profileAsOf is a stored profile (id empty: none yet) changed by in (nil: not).
func (f *Fleet) profileAsOf(tx store.Tx, a Actor, id ProfileID, in *ProfileInput) (*Profile, error) {
	var old *Profile
	if id != "" {
		var err error
		if old, err = f.profileSeen(tx, a, id); err != nil {
			return nil, err
		}
	}
	if in == nil {
		if old == nil {
			return nil, Refuse(ErrNotFound, "not-found", "what", "profile")
		}
		return old, nil
	}
	if err := need(a, ProfilesEdit); err != nil {
		return nil, err
	}
	return f.buildProfile(tx, a, old, *in)
}
