package fleet

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"muster/store"
)

// A secret among the settings of a profile (KindSecret: a Wi-Fi key, a shared secret) is stored sealed for its profile. Nothing that leaves the
// domain holds it: readers, previews, versions and the log see SecretShown. Only an order to a device is given it in the clear. A profile that is
// saved with SecretShown in the secret's place, or without it, keeps what it has.

// SecretShown stands for a secret that is there.
const SecretShown = "••••••••"

// secretChanged stands in the log for a secret that a change has replaced.
const secretChanged = SecretShown + "*"

// Beginnings of a secret as it is stored, and as a form carries it from step to step.
const (
	sealedSecret = "sealed:"
	heldSecret   = "••held:"
)

// heldFor is how long a form may carry a secret.
const heldFor = 12 * time.Hour

// secretContext binds a sealed secret to its place.
func secretContext(id ProfileID, key string) string { return string(id) + "/" + key }

// HoldSecret seals a secret that somebody typed, so that a form of several steps can carry it: only the same actor's save can open it. What
// is held already, or only stands for a secret, is returned as it is.
func (f *Fleet) HoldSecret(a Actor, secret string) string {
	if secret == "" || secret == SecretShown || strings.HasPrefix(secret, heldSecret) {
		return secret
	}
	plain := binary.BigEndian.AppendUint64(nil, uint64(f.now().Unix()))
	plain = append(plain, secret...)
	return heldSecret + base64.RawURLEncoding.EncodeToString(f.db.Sealer().Seal("form", string(a.Kind)+"/"+a.ID, plain))
}

// heldOpen is a held secret in the clear.
func (f *Fleet) heldOpen(a Actor, held string) (string, bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(held, heldSecret))
	if err != nil {
		return "", false
	}
	plain, err := f.db.Sealer().Open("form", string(a.Kind)+"/"+a.ID, sealed)
	if err != nil || len(plain) < 8 {
		return "", false
	}
	since := f.now().Sub(time.Unix(int64(binary.BigEndian.Uint64(plain)), 0))
	return string(plain[8:]), since < heldFor
}

// knownSecrets are what a profile's secrets are before a change. The nil knownSecrets knows none.
type knownSecrets struct {
	stored, plain map[string]string // by key: sealed as stored, and in the clear
	with          Values            // what the settings were
	held          func(string) (string, bool)
}

// keeps says whether a value only stands for the secret that is there.
func (k *knownSecrets) keeps(key string, x any) bool {
	if k == nil || k.plain[key] == "" {
		return false
	}
	s, isText := x.(string)
	return x == nil || isText && s != "" && (s == SecretShown || s == k.stored[key])
}

// elsewhere says whether a kept secret would be used in another place than the one that it was typed for, as out says after a change. Who may
// change a profile, and does not know its secret, must not have devices show it to a server or a network of their choosing.
func (k *knownSecrets) elsewhere(fd Field, x any, out Values) bool {
	return fd.KeptWith != "" && k.keeps(fd.Key, x) && out.Has(fd.KeptWith) && out.String(fd.KeptWith) != k.with.String(fd.KeptWith)
}

// given is the secret that a value stands for; nil for none.
func (k *knownSecrets) given(key string, x any, bad faults) any {
	s, _ := x.(string)
	switch {
	case k == nil:
		return x
	case k.keeps(key, x):
		return k.plain[key]
	case x == nil, s == SecretShown:
		return nil
	case strings.HasPrefix(s, heldSecret):
		plain, ok := k.held(s)
		if !ok {
			bad.put("settings."+key, "secret.type-again")
			return nil
		}
		return plain
	}
	return x
}

// checkSecret takes a secret as it is, blanks at its ends too.
func (fd Field) checkSecret(name, s string, bad faults) bool {
	most := fd.Max
	if most == 0 {
		most = textMost
	}
	switch n := utf8.RuneCountInString(s); {
	case !utf8.ValidString(s) || strings.ContainsFunc(s, badRune) || strings.Contains(s, SecretShown):
		bad.put(name, "input.characters")
	case n < fd.Min:
		bad.put(name, "input.too-short", "least", strconv.Itoa(fd.Min))
	case n > most:
		bad.put(name, "input.too-long", "most", strconv.Itoa(most))
	default:
		return true
	}
	return false
}

// secretsOf opens what a profile holds (nil: none).
func (f *Fleet) secretsOf(a Actor, p *Profile) (*knownSecrets, error) {
	k := &knownSecrets{stored: map[string]string{}, plain: map[string]string{}, held: func(s string) (string, bool) { return f.heldOpen(a, s) }}
	if p == nil {
		return k, nil
	}
	v := p.Values()
	k.with = v
	for _, fd := range declarationOf(p.Type).Fields {
		s := v.String(fd.Key)
		if fd.Kind != KindSecret || s == "" {
			continue
		}
		plain, err := f.openSecret(p.ID, fd.Key, s)
		if err != nil {
			return nil, err
		}
		k.stored[fd.Key], k.plain[fd.Key] = s, plain
	}
	return k, nil
}

func (f *Fleet) openSecret(id ProfileID, key, stored string) (string, error) {
	sealed, err := base64.RawStdEncoding.DecodeString(strings.TrimPrefix(stored, sealedSecret))
	if err != nil || !strings.HasPrefix(stored, sealedSecret) {
		return "", fmt.Errorf("secret %s of profile %s: %w", key, id, store.ErrUnsealable)
	}
	plain, err := f.db.Sealer().Open(profiles.Name(), secretContext(id, key), sealed)
	if err != nil {
		return "", fmt.Errorf("secret %s of profile %s: %w", key, id, err)
	}
	return string(plain), nil
}

// sealSecrets seals the secrets in settings. One that is what it was stays as it was stored: a save that changes nothing is no new revision.
func (f *Fleet) sealSecrets(p *Profile, v Values, known *knownSecrets) {
	for _, fd := range declarationOf(p.Type).Fields {
		s := v.String(fd.Key)
		if fd.Kind != KindSecret || s == "" {
			continue
		}
		if old, ok := known.plain[fd.Key]; ok && old == s {
			v[fd.Key] = known.stored[fd.Key]
			continue
		}
		v[fd.Key] = sealedSecret + base64.RawStdEncoding.EncodeToString(f.db.Sealer().Seal(profiles.Name(), secretContext(p.ID, fd.Key), []byte(s)))
	}
}

// withSecrets is a copy of a profile with each secret that is there replaced, or the profile itself when it has none.
func (p *Profile) withSecrets(put func(key, stored string) (string, error)) (*Profile, error) {
	var v Values
	for _, fd := range declarationOf(p.Type).Fields {
		if fd.Kind != KindSecret {
			continue
		}
		if v == nil {
			v = Values{}
			if json.Unmarshal(p.Settings, &v) != nil {
				return p, nil
			}
			v = maps.Clone(v)
		}
		if s := v.String(fd.Key); s != "" {
			shown, err := put(fd.Key, s)
			if err != nil {
				return nil, err
			}
			v[fd.Key] = shown
		}
	}
	if v == nil {
		return p, nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode settings: %w", err)
	}
	c := *p
	c.Settings = raw
	return &c, nil
}

// shown is a profile as it may leave the domain.
func (p *Profile) shown() *Profile {
	s, _ := p.withSecrets(func(string, string) (string, error) { return SecretShown, nil })
	return s
}

// shownAfter is a profile for the log, in which a secret that differs from the one before shows that it does.
func (p *Profile) shownAfter(old *Profile) *Profile {
	was := old.Values()
	s, _ := p.withSecrets(func(key, stored string) (string, error) {
		if was.String(key) != stored {
			return secretChanged, nil
		}
		return SecretShown, nil
	})
	return s
}

// unsealed is a profile with its secrets in the clear, for an order.
func (f *Fleet) unsealed(p *Profile) (*Profile, error) {
	return p.withSecrets(func(key, stored string) (string, error) { return f.openSecret(p.ID, key, stored) })
}
