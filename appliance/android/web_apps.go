package android

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"muster/appliance/fleet"
	"muster/store"
)

// A web link is an app to Android: Google makes one of a title, an address and an icon (enterprises.webApps), and policies name its package. One web
// link has one web app, which all devices share; it is made when the first device is to have it, changed with its profile, and deleted after it.

// webApp is what is remembered of one. It is written down before it is made: Google knows no request ids.
type webApp struct {
	Profile    fleet.ProfileID `json:"profile"`
	Enterprise string          `json:"enterprise"`
	Package    string          `json:"package,omitempty"` // ""; whether it was made is not known
	Digest     string          `json:"digest,omitempty"`  // of what Google has; "" = not known
}

var webApps = store.Define("gw", func(w *webApp) string { return string(w.Profile) })

// webAppBody is a web link as Google takes it.
func webAppBody(v fleet.Values) map[string]any {
	mode, icon := "MINIMAL_UI", plainIcon()
	if v.Bool("full_screen") {
		mode = "STANDALONE"
	}
	if b, err := base64.StdEncoding.DecodeString(v.String("icon")); err == nil && len(b) > 0 {
		icon = b
	}
	return map[string]any{"title": v.String("label"), "startUrl": v.String("url"), "displayMode": mode,
		"icons": []any{map[string]any{"imageData": base64.URLEncoding.EncodeToString(icon)}}}
}

// plainIcon is shown where a link has no icon of its own: Google wants one.
var plainIcon = sync.OnceValue(func() []byte {
	const side = 512
	img := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.RGBA{0x1f, 0x5f, 0x8b, 0xff}, color.White})
	for y := range side {
		for x := range side {
			dx, dy := x-side/2, y-side/2
			if d := dx*dx + dy*dy; d < 150*150 && d > 110*110 || d < 150*150 && (max(dx, -dx) < 20 || max(dy, -dy) < 20) {
				img.SetColorIndex(x, y, 1)
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		panic(err) // into memory
	}
	return b.Bytes()
})

// webLink renders a web link: its app, which the person may remove where the profile says so.
func (r *rendering) webLink(p *fleet.Profile) (tree, error) {
	pkg := r.webApps[p.ID]
	if pkg == "" {
		return nil, errors.New("the web app is not made yet")
	}
	kind := "FORCE_INSTALLED"
	if p.Values().Bool("removable") {
		kind = "PREINSTALLED"
	}
	return tree{"applications": map[string]any{pkg: map[string]any{"installType": kind}}}, nil
}

// linked gives the packages of the web links among profiles, and has Google make or change what it must.
func (a *Android) linked(ctx context.Context, conn *connection, profiles []*fleet.Profile) (map[fleet.ProfileID]string, error) {
	var out map[fleet.ProfileID]string
	for _, p := range profiles {
		if p.Type != fleet.TypeWebLink {
			continue
		}
		pkg, err := a.webApp(ctx, conn, p)
		if err != nil {
			return nil, fmt.Errorf("web app of profile %s: %w", p.ID, err)
		}
		if out == nil {
			out = map[fleet.ProfileID]string{}
		}
		out[p.ID] = pkg
	}
	return out, nil
}

func (a *Android) webApp(ctx context.Context, conn *connection, p *fleet.Profile) (string, error) {
	body := webAppBody(p.Values())
	sum, err := digest(body)
	if err != nil {
		return "", err
	}
	a.linking.Lock() // several devices may want one at the same moment
	defer a.linking.Unlock()
	w, err := a.webAppOf(ctx, p.ID)
	if err != nil {
		return "", err
	}
	if w == nil || w.Enterprise != conn.account.Enterprise {
		w = nil
	}
	if w != nil && w.Package != "" && w.Digest != sum {
		err := conn.patchWebApp(ctx, w.name(), body)
		switch {
		case is(err, http.StatusNotFound): // somebody deleted it
			w = nil
		case err != nil:
			return "", err
		}
	}
	if w != nil && w.Package != "" && w.Digest == sum {
		return w.Package, nil
	}
	if w == nil {
		w = &webApp{Profile: p.ID, Enterprise: conn.account.Enterprise}
		if err := a.keepWebApp(ctx, w); err != nil {
			return "", err
		}
	}
	if w.Package == "" { // it may be there all the same: an answer was lost, or it was made after the backup that was restored since
		if w.Package, err = a.strayWebApp(ctx, conn, body); err != nil {
			return "", err
		}
	}
	if w.Package == "" {
		if w.Package, err = conn.createWebApp(ctx, w.Enterprise, body); err != nil {
			return "", err
		}
	}
	w.Digest = sum
	return w.Package, a.keepWebApp(ctx, w)
}

// name of a web app at Google.
func (w *webApp) name() string { return w.Enterprise + "/webApps/" + w.Package }

func (a *Android) webAppOf(ctx context.Context, p fleet.ProfileID) (w *webApp, err error) {
	err = a.db.View(ctx, func(tx store.Tx) (err error) {
		w, err = webApps.Get(tx, string(p))
		if errors.Is(err, store.ErrNotFound) {
			w, err = nil, nil
		}
		return err
	})
	return w, err
}

func (a *Android) keepWebApp(ctx context.Context, w *webApp) error {
	return a.db.Update(ctx, func(tx store.Tx) error { return webApps.Put(tx, w) })
}

// eachWebApp lists those that are remembered.
func (a *Android) eachWebApp(ctx context.Context) (out []*webApp, err error) {
	err = a.db.View(ctx, func(tx store.Tx) error {
		out = nil
		return webApps.Each(tx, store.Query{}, func(w *webApp) (bool, error) {
			out = append(out, w)
			return true, nil
		})
	})
	return out, err
}

// strayWebApp looks for a web app of this title and address that is nobody's. "" when there is none.
func (a *Android) strayWebApp(ctx context.Context, conn *connection, body map[string]any) (string, error) {
	ours, err := a.eachWebApp(ctx)
	if err != nil {
		return "", err
	}
	taken := map[string]bool{}
	for _, w := range ours {
		taken[w.Package] = true
	}
	found := ""
	err = conn.listWebApps(ctx, conn.account.Enterprise, func(name, title, start string) {
		if !taken[id(name)] && title == body["title"] && start == body["startUrl"] {
			found = id(name)
		}
	})
	return found, err
}

// tidyWebApps deletes the web apps of links that are no more, once no policy names them.
func (a *Android) tidyWebApps(ctx context.Context, conn *connection) error {
	all, err := a.eachWebApp(ctx)
	if err != nil {
		return err
	}
	for _, w := range all {
		_, err := a.fleet.Profile(ctx, job(), w.Profile)
		if !errors.Is(err, fleet.ErrNotFound) {
			if err != nil {
				return err
			}
			continue
		}
		named := errors.New("named by a policy")
		err = a.eachRecord(ctx, func(r *record) error {
			if len(r.Sent.Owners["app/"+w.Package]) > 0 {
				return named
			}
			return nil
		})
		if errors.Is(err, named) {
			continue
		}
		if err == nil && w.Package != "" && w.Enterprise == conn.account.Enterprise {
			err = conn.deleteWebApp(ctx, w.name())
		}
		if err == nil {
			err = a.db.Update(ctx, func(tx store.Tx) error { return webApps.Delete(tx, string(w.Profile)) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// compareWebApps holds Google's list of web apps against ours. One of ours that Google has no longer is made anew, and its devices are looked at. One
// that is at Google and not ours is left there, since somebody may have made it in Play: the check names it.
func (a *Android) compareWebApps(ctx context.Context, conn *connection) error {
	ours, err := a.eachWebApp(ctx)
	if err != nil {
		return err
	}
	there := map[string]string{}
	if err := conn.listWebApps(ctx, conn.account.Enterprise, func(name, title, _ string) { there[id(name)] = title }); err != nil {
		return err
	}
	for _, w := range ours {
		if _, is := there[w.Package]; is || w.Package == "" || w.Enterprise != conn.account.Enterprise {
			delete(there, w.Package)
			continue
		}
		if err := a.loseWebApp(ctx, conn, w.Profile); err != nil {
			return err
		}
	}
	strays := slices.Sorted(maps.Values(there))
	a.mu.Lock()
	a.strays = strays
	a.mu.Unlock()
	return nil
}

// loseWebApp notes that Google has no longer the web app of a link, once it has said so itself.
func (a *Android) loseWebApp(ctx context.Context, conn *connection, p fleet.ProfileID) error {
	a.linking.Lock()
	defer a.linking.Unlock()
	w, err := a.webAppOf(ctx, p)
	if err != nil || w == nil || w.Package == "" {
		return err
	}
	err = conn.manage(ctx, laneRead, http.MethodGet, w.name(), nil, nil, nil)
	if !is(err, http.StatusNotFound) {
		return err
	}
	lost := "app/" + w.Package
	w.Package, w.Digest = "", ""
	if err := a.keepWebApp(ctx, w); err != nil {
		return err
	}
	return a.eachRecord(ctx, func(r *record) error {
		if len(r.Sent.Owners[lost]) > 0 {
			a.queue.push(r.Enrolment, urgentNews, true, nil)
		}
		return nil
	})
}

// linksStand says whether the web apps that a policy names are still those of its links.
func (a *Android) linksStand(ctx context.Context, s *sentPolicy) (bool, error) {
	ours, err := a.eachWebApp(ctx)
	if err != nil {
		return false, err
	}
	for _, w := range ours {
		for part, owners := range s.Owners {
			if pkg, app := strings.CutPrefix(part, "app/"); app && pkg != w.Package && slices.Contains(owners, w.Profile) {
				return false, nil
			}
		}
	}
	return true, nil
}

func (c *client) createWebApp(ctx context.Context, enterprise string, body map[string]any) (string, error) {
	var out struct{ Name string }
	err := c.do(ctx, call{lane: lanePolicy, method: http.MethodPost, base: c.management, path: enterprise + "/webApps", once: true, body: body}, &out)
	if err == nil && !strings.HasPrefix(out.Name, enterprise+"/webApps/") {
		err = errors.New("the new web app has no name")
	}
	return id(out.Name), err
}

func (c *client) patchWebApp(ctx context.Context, name string, body map[string]any) error {
	return c.manage(ctx, lanePolicy, http.MethodPatch, name, url.Values{"updateMask": {mask(body, nil)}}, body, nil)
}

func (c *client) deleteWebApp(ctx context.Context, name string) error {
	return gone(c.manage(ctx, laneRead, http.MethodDelete, name, nil, nil, nil))
}

// listWebApps walks all web apps of an enterprise.
func (c *client) listWebApps(ctx context.Context, enterprise string, each func(name, title, start string)) error {
	type page struct {
		Apps []struct {
			Name  string `json:"name"`
			Title string `json:"title"`
			Start string `json:"startUrl"`
		} `json:"webApps"`
		Next string `json:"nextPageToken"`
	}
	return walkPages(ctx, c, laneRead, enterprise+"/webApps", nil, 10_000, func(p *page) string { return p.Next }, func(p *page) (bool, error) {
		for _, w := range p.Apps {
			each(w.Name, w.Title, w.Start)
		}
		return true, nil
	})
}
