package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"sort"
	"strconv"
	"strings"
)

//go:embed static
var staticFiles embed.FS

// assets are the static files, each under a URL that holds a hash of its
// content, so that browsers may keep it for ever. The style sheets become one
// file, and so do the scripts; both are joined in the order of their names.
type assets struct {
	byPath map[string]*asset // by URL path
	urls   map[string]string // by plain name: "app.css" → "/static/app.0a1b2c3d4e5f.css"
	icons  map[string]bool   // symbols of icons.svg
}

// asset is one file as it goes over the wire.
type asset struct {
	contentType string
	plain       []byte
	gzipped     []byte // nil when compressing does not help
}

// loadAssets prepares the embedded files.
func loadAssets() (*assets, error) {
	a := &assets{byPath: map[string]*asset{}, urls: map[string]string{}, icons: map[string]bool{}}
	css, err := join("static/css")
	if err != nil {
		return nil, err
	}
	js, err := join("static/js")
	if err != nil {
		return nil, err
	}
	icons, err := fs.ReadFile(staticFiles, "static/icons.svg")
	if err != nil {
		return nil, err
	}
	favicon, err := fs.ReadFile(staticFiles, "static/favicon.svg")
	if err != nil {
		return nil, err
	}
	htmx, err := fs.ReadFile(staticFiles, "static/vendor/htmx.min.js")
	if err != nil {
		return nil, err
	}
	for _, id := range strings.Split(string(icons), `<symbol id="`)[1:] {
		name, _, _ := strings.Cut(id, `"`)
		a.icons[name] = true
	}
	for _, f := range []struct {
		name, contentType string
		content           []byte
	}{
		{"app.css", "text/css; charset=utf-8", css},
		{"app.js", "text/javascript; charset=utf-8", js},
		{"htmx.js", "text/javascript; charset=utf-8", htmx},
		{"icons.svg", "image/svg+xml", icons},
		{"favicon.svg", "image/svg+xml", favicon},
	} {
		if err := a.add(f.name, f.contentType, f.content); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// join concatenates the files of a directory in the order of their names.
func join(dir string) ([]byte, error) {
	entries, err := fs.ReadDir(staticFiles, dir)
	if err != nil {
		return nil, err
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Name() < entries[j].Name() })
	var out bytes.Buffer
	for _, e := range entries {
		b, err := fs.ReadFile(staticFiles, path.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		out.Write(b)
		out.WriteByte('\n')
	}
	return out.Bytes(), nil
}

func (a *assets) add(name, contentType string, content []byte) error {
	sum := sha256.Sum256(content)
	ext := path.Ext(name)
	url := "/static/" + strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
	file := &asset{contentType: contentType, plain: content}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return fmt.Errorf("compress %s: %w", name, err)
	}
	if _, err := w.Write(content); err != nil {
		return fmt.Errorf("compress %s: %w", name, err)
	}
	if err := w.Close(); err != nil {
		return fmt.Errorf("compress %s: %w", name, err)
	}
	if packed.Len() < len(content) {
		file.gzipped = packed.Bytes()
	}
	a.byPath[url], a.urls[name] = file, url
	return nil
}

// url returns the address of a static file, or an error for an unknown name.
func (a *assets) url(name string) (string, error) {
	u, ok := a.urls[name]
	if !ok {
		return "", fmt.Errorf("no static file %q", name)
	}
	return u, nil
}

// ServeHTTP serves the files under /static/.
func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, ok := a.byPath[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	body, h := file.plain, w.Header()
	h.Set("Content-Type", file.contentType)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	h.Set("Vary", "Accept-Encoding")
	if file.gzipped != nil && acceptsGzip(r.Header.Get("Accept-Encoding")) {
		body = file.gzipped
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a reader that went away is no error of ours
	}
}

// acceptsGzip reads an Accept-Encoding header (RFC 9110 section 12.5.3).
func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, params, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q, found := strings.CutPrefix(strings.TrimSpace(params), "q=")
			if !found {
				return true
			}
			f, err := strconv.ParseFloat(q, 64)
			return err == nil && f > 0
		}
	}
	return false
}
