package sim

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// appru is where the sign-in window of the Settings app takes the token.
const appru = "ms-app://windows.immersivecontrolpanel"

// pcInvitation is what the invitation page tells: the deep link and, where there is
// one, the code to type in place of a password.
type pcInvitation struct {
	user, server string
	code         string
	link         string // the invitation's own address
	browser      edge
}

// edge is the browser of a PC as far as enrolment needs one.
type edge struct{ safari }

// newEdge returns a browser with an empty jar; closing it is the caller's task.
func (d *Windows) newEdge() (edge, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return edge{}, err
	}
	return edge{safari{http: &http.Client{Transport: newTransport(d.roots(), nil), Jar: jar, Timeout: timeout},
		agent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0"}}, nil
}

func (e edge) close() { e.http.CloseIdleConnections() }

// invitation opens the link, accepts, and reads the deep link from the page that follows.
func (d *Windows) invitation(ctx context.Context, e edge, link string) (pcInvitation, error) {
	page, err := e.open(ctx, link)
	if err != nil {
		return pcInvitation{}, fmt.Errorf("opening the invitation: %w", err)
	}
	form, err := page.form()
	if err != nil {
		return pcInvitation{}, err
	}
	d.mu.Lock()
	d.seen.terms = page.main()
	d.mu.Unlock()
	page, err = e.submit(ctx, page, form)
	if err != nil {
		return pcInvitation{}, fmt.Errorf("accepting: %w", err)
	}
	inv, err := d.deepLink(page)
	inv.link, inv.browser = link, e
	return inv, err
}

// deepLink finds the button for Windows and reads its address as the OS does.
func (d *Windows) deepLink(page *webPage) (pcInvitation, error) {
	inv := pcInvitation{code: page.code()}
	var href string
	for n := range page.root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "a" && attr(n, "data-step") == "windows" {
			href = attr(n, "href")
			break
		}
	}
	query, ok := strings.CutPrefix(href, "ms-device-enrollment:?")
	if !ok {
		return inv, fmt.Errorf("the page offers no link for Windows: %s", page.main())
	}
	v, err := url.ParseQuery(query)
	if err != nil {
		return inv, gaveUp("deep link", hrMessageFormat, "%v", err)
	}
	if v.Get("mode") != "mdm" {
		return inv, gaveUp("deep link", hrMessageFormat, "mode is %q, not mdm", v.Get("mode"))
	}
	for name := range v {
		switch name {
		case "mode":
		case "username", "servername", "accesstoken", "deviceidentifier", "tenantidentifier", "ownership":
			if d.hw.build < 15063 {
				v.Del(name) // unknown before 1703
			}
		default:
			d.complain("the deep link has a parameter %q that Windows does not know", name)
		}
	}
	if o := v.Get("ownership"); o != "" && o != "1" && o != "2" && o != "3" {
		d.complain("the deep link's ownership is %q", o)
	}
	inv.user, inv.server = v.Get("username"), v.Get("servername")
	return inv, nil
}

// code reads the one-time code that a page shows: the value of data-code, or the text of that element.
func (p *webPage) code() string {
	for n := range p.root.Descendants() {
		if n.Type == html.ElementNode && has(n, "data-code") {
			if v := strings.TrimSpace(attr(n, "data-code")); v != "" {
				return v
			}
			return strings.ReplaceAll(text(n), " ", "")
		}
	}
	return ""
}

// signIn opens the federated sign-in page in the window of the Settings app and follows
// it to the form that hands the token over. Pages on the way are answered like a person
// does: terms accepted, name and invitation code typed.
func (d *Windows) signIn(ctx context.Context, inv pcInvitation, service string) (string, error) {
	bad := func(format string, args ...any) error { return gaveUp("sign-in", hrAuthBroker, format, args...) }
	u, err := url.Parse(service)
	if err != nil || u.Scheme != "https" {
		return "", bad("the sign-in address is not https")
	}
	e := inv.browser
	if d.o.FreshBrowser {
		if e, err = d.newEdge(); err != nil {
			return "", err
		}
		defer e.close()
	}
	q := u.Query()
	q.Set("appru", appru)
	q.Set("login_hint", inv.user)
	u.RawQuery = q.Encode()
	w := &signInWindow{edge: e}
	page, err := w.open(ctx, u.String())
	for range 6 {
		if err != nil {
			return "", bad("%v", err)
		}
		form := page.tokenForm()
		if form != nil {
			return d.takeToken(page, form, w.csp)
		}
		if form = page.nextForm(); form == nil {
			return "", bad("the page leads nowhere: %s", page.main())
		}
		if t := page.main(); t != "" && attr(form, "data-step") == "accept" {
			d.mu.Lock()
			d.seen.terms = t
			d.mu.Unlock()
		}
		fill(form, inv.user, d.invitationCode(inv), inv.code)
		page, err = w.submit(ctx, page, form)
	}
	return "", bad("the pages have no end")
}

// invitationCode is what the person types when a page asks who they are: their option, the
// code that the invitation's page showed or they were told, or the last part of their link.
func (d *Windows) invitationCode(inv pcInvitation) string {
	if d.o.Code != "" {
		return d.o.Code
	}
	if inv.code != "" || inv.link == "" {
		return inv.code
	}
	path, _, _ := strings.Cut(inv.link, "?")
	return path[strings.LastIndex(path, "/")+1:]
}

// signInWindow is the embedded browser: it remembers the last page's security policy.
type signInWindow struct {
	edge
	csp string
}

func (w *signInWindow) open(ctx context.Context, link string) (*webPage, error) {
	w.watch()
	return w.edge.open(ctx, link)
}

func (w *signInWindow) submit(ctx context.Context, page *webPage, form *html.Node) (*webPage, error) {
	w.watch()
	return w.edge.submit(ctx, page, form)
}

// watch lets the next answers' policy be remembered.
func (w *signInWindow) watch() {
	c := *w.http
	inner := c.Transport
	if t, ok := inner.(policyWatcher); ok {
		inner = t.inner
	}
	c.Transport = policyWatcher{inner: inner, csp: &w.csp}
	w.http = &c
}

// policyWatcher keeps the Content-Security-Policy of the last answer.
type policyWatcher struct {
	inner http.RoundTripper
	csp   *string
}

func (p policyWatcher) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := p.inner.RoundTrip(r)
	if err == nil {
		*p.csp = resp.Header.Get("Content-Security-Policy")
	}
	return resp, err
}

// tokenForm finds a form that goes to the app.
func (p *webPage) tokenForm() *html.Node {
	for n := range p.root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "form" && strings.HasPrefix(attr(n, "action"), "ms-app:") {
			return n
		}
	}
	return nil
}

// nextForm finds the form that a person would go on with.
func (p *webPage) nextForm() *html.Node {
	for n := range p.root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "form" && strings.EqualFold(attr(n, "method"), "post") && has(n, "data-step") {
			return n
		}
	}
	return nil
}

// fill types name, invitation and one-time code into the fields that ask for them and are still empty.
func fill(form *html.Node, user, invitation, once string) {
	for n := range form.Descendants() {
		if n.Type != html.ElementNode || n.Data != "input" || attr(n, "value") != "" || attr(n, "type") == "hidden" {
			continue
		}
		var v string
		switch attr(n, "name") {
		case "username", "user", "upn", "email", "mail", "login":
			v = user
		case "code", "invitation":
			v = invitation
		case "password", "secret":
			v = once
		default:
			continue
		}
		n.Attr = slices.DeleteFunc(n.Attr, func(a html.Attribute) bool { return a.Key == "value" })
		n.Attr = append(n.Attr, html.Attribute{Key: "value", Val: v})
	}
}

// takeToken reads the token from the last page, if the window would get that far: the
// post must be allowed by the page's policy and something must set it off.
func (d *Windows) takeToken(page *webPage, form *html.Node, csp string) (string, error) {
	bad := func(format string, args ...any) error { return gaveUp("sign-in", hrAuthBroker, format, args...) }
	if attr(form, "action") != appru || !strings.EqualFold(attr(form, "method"), "post") {
		return "", bad("the form goes to %q by %s, not to appru by post", attr(form, "action"), attr(form, "method"))
	}
	directives := map[string]string{}
	for part := range strings.SplitSeq(csp, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), " ")
		directives[strings.ToLower(name)] = value
	}
	if v, there := directives["form-action"]; there && !strings.Contains(v, "ms-app:") {
		return "", bad("the page's policy does not let its form go to the app")
	}
	button := false
	var token *html.Node
	for n := range form.Descendants() {
		if n.Type != html.ElementNode || within(n, "noscript") {
			continue
		}
		switch {
		case n.Data == "button" && attr(n, "type") != "button", n.Data == "input" && attr(n, "type") == "submit":
			button = true
		case n.Data == "input" && attr(n, "name") == "wresult":
			token = n
		}
	}
	if token == nil || attr(token, "value") == "" {
		return "", bad("the form holds no wresult")
	}
	if !button && !page.submitsItself(directives) {
		return "", bad("nothing sends the form: the page's policy stops its script, and there is no button")
	}
	return attr(token, "value"), nil
}

// submitsItself reports whether a script of the page may run.
func (p *webPage) submitsItself(directives map[string]string) bool {
	policy, restricted := directives["script-src"]
	if !restricted {
		policy, restricted = directives["default-src"]
	}
	nonced := strings.Contains(policy, "'nonce-")
	inline := !restricted || strings.Contains(policy, "'unsafe-inline'") && !nonced
	for n := range p.root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch {
		case n.Data == "body" && has(n, "onload") && inline:
			return true
		case n.Data == "script" && has(n, "src") && (!restricted || strings.Contains(policy, "'self'")):
			return true
		case n.Data == "script" && inline:
			return true
		case n.Data == "script" && attr(n, "nonce") != "" && strings.Contains(policy, "'nonce-"+attr(n, "nonce")+"'"):
			return true
		case n.Data == "script" && strings.Contains(policy, "'sha256-"):
			return true
		}
	}
	return false
}

// within reports whether a node lies inside an element of that name.
func within(n *html.Node, name string) bool {
	for p := n.Parent; p != nil; p = p.Parent {
		if p.Type == html.ElementNode && p.Data == name {
			return true
		}
	}
	return false
}
