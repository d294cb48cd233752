package sim

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// Enrol goes the whole way of a person: opens the invitation link, reads the page,
// ticks the box and accepts, follows the button to the profile, and installs it. An
// invitation without a form to accept gives ErrNoForm with the page's text.
func (d *Apple) Enrol(ctx context.Context, link string) error {
	profile, err := d.Download(ctx, link)
	if err != nil {
		return d.failed(err)
	}
	return d.EnrolProfile(ctx, profile)
}

// Download goes that way as far as the file and returns the profile, without installing it.
func (d *Apple) Download(ctx context.Context, link string) ([]byte, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	client := d.plain()
	client.Jar = jar
	defer d.hangUp(client)
	s := safari{http: client, agent: d.userAgent()}

	page, err := s.open(ctx, link)
	if err != nil {
		return nil, fmt.Errorf("opening the invitation: %w", err)
	}
	form, err := page.form()
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.seen.terms = page.main()
	d.mu.Unlock()
	page, err = s.submit(ctx, page, form)
	if err != nil {
		return nil, fmt.Errorf("accepting: %w", err)
	}
	href, err := page.profileLink()
	if err != nil {
		return nil, err
	}
	return s.download(ctx, page, href)
}

// userAgent is how Safari on the device introduces itself. An iPad calls itself a Mac.
func (d *Apple) userAgent() string {
	if d.hw.kind == IPhone {
		return "Mozilla/5.0 (iPhone; CPU iPhone OS " + strings.ReplaceAll(d.hw.os, ".", "_") + " like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/" + d.hw.os + " Mobile/15E148 Safari/604.1"
	}
	return "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15"
}

// safari is a browser as far as an enrolment page needs one.
type safari struct {
	http  *http.Client
	agent string
}

// webPage is a page that was opened.
type webPage struct {
	at   *url.URL
	root *html.Node
}

// maxPage bounds a page and a profile.
const maxPage = 8 << 20

func (s safari) do(req *http.Request) (*http.Response, []byte, error) {
	req.Header.Set("User-Agent", s.agent)
	req.Header.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	req.Header.Set("Accept-Language", "en-GB,en;q=0.9")
	resp, err := s.http.Do(req)
	if err != nil {
		return nil, nil, withoutQuery(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	return resp, b, err
}

// withoutQuery takes the address out of a client's error: an invitation is a secret.
func withoutQuery(err error) error {
	if u, ok := err.(*url.Error); ok {
		return fmt.Errorf("asking %s: %w", hostOf(u.URL), u.Err)
	}
	return err
}

func (s safari) open(ctx context.Context, link string) (*webPage, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, err
	}
	return s.page(req)
}

// page reads a page, whatever its status: a refusal is a page too.
func (s safari) page(req *http.Request) (*webPage, error) {
	resp, b, err := s.do(req)
	if err != nil {
		return nil, err
	}
	if t := resp.Header.Get("Content-Type"); !strings.HasPrefix(t, "text/html") {
		return nil, &StatusError{Code: resp.StatusCode, Body: beginning(b)}
	}
	root, err := html.Parse(strings.NewReader(string(b)))
	if err != nil {
		return nil, err
	}
	return &webPage{at: resp.Request.URL, root: root}, nil
}

// submit sends a form with its box ticked, as a browser does.
func (s safari) submit(ctx context.Context, page *webPage, form *html.Node) (*webPage, error) {
	action, err := page.at.Parse(attr(form, "action"))
	if err != nil {
		return nil, err
	}
	fields := url.Values{}
	for n := range form.Descendants() {
		if n.Type != html.ElementNode || has(n, "disabled") || attr(n, "name") == "" {
			continue
		}
		value := attr(n, "value")
		switch {
		case n.Data == "textarea":
			fields.Add(attr(n, "name"), text(n))
		case n.Data != "input":
		case attr(n, "type") == "checkbox", attr(n, "type") == "radio":
			if !has(n, "value") {
				value = "on"
			}
			if attr(n, "name") == "accept" || has(n, "checked") {
				fields.Add(attr(n, "name"), value)
			}
		case attr(n, "type") != "submit" && attr(n, "type") != "button":
			fields.Add(attr(n, "name"), value)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, action.String(), strings.NewReader(fields.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", page.at.Scheme+"://"+page.at.Host)
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	return s.page(req)
}

// download fetches the profile that the button leads to.
func (s safari) download(ctx context.Context, page *webPage, href string) ([]byte, error) {
	u, err := page.at.Parse(href)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, b, err := s.do(req)
	if err != nil {
		return nil, fmt.Errorf("downloading the profile: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, &StatusError{Code: resp.StatusCode, Body: beginning(b)}
	}
	if t, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";"); t != "application/x-apple-aspen-config" {
		return nil, fmt.Errorf("the profile came as %q, which Safari does not install", t)
	}
	return b, nil
}

// form finds the one form to accept.
func (p *webPage) form() (*html.Node, error) {
	var found []*html.Node
	for n := range p.root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "form" && attr(n, "data-step") == "accept" && strings.EqualFold(attr(n, "method"), "post") {
			found = append(found, n)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%w: %s", ErrNoForm, p.main())
	case 1:
	default:
		return nil, fmt.Errorf("the page has %d forms to accept", len(found))
	}
	for n := range found[0].Descendants() {
		if n.Data == "input" && attr(n, "name") == "accept" && attr(n, "type") == "checkbox" {
			return found[0], nil
		}
	}
	return nil, fmt.Errorf("the form has no box named accept")
}

// profileLink finds the button that leads to the profile.
func (p *webPage) profileLink() (string, error) {
	for n := range p.root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "a" && attr(n, "data-step") == "profile" {
			return attr(n, "href"), nil
		}
	}
	return "", fmt.Errorf("the page offers no profile: %s", p.main())
}

// main returns the text of the page's main element, or of the whole page without one.
func (p *webPage) main() string {
	for n := range p.root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "main" {
			return text(n)
		}
	}
	return text(p.root)
}

// text returns what a person reads of a node, in one line.
func text(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode && c.Parent.Data != "script" && c.Parent.Data != "style" {
			b.WriteString(c.Data)
			b.WriteByte(' ')
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, key string) bool {
	for _, a := range n.Attr {
		if a.Key == key {
			return true
		}
	}
	return false
}
