package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// enrolLink is the address that opens the set-up of a work profile on a phone in use.
const enrolLink = "https://enterprise.google.com/android/enroll?et="

// Enrol goes the whole way of a person: opens the invitation, reads the page, ticks the box and accepts. A phone in use then follows
// the button; a factory-new one scans the code, or takes the text, from the page on another screen.
func (d *Android) Enrol(ctx context.Context, link string) error {
	token, err := d.Token(ctx, link)
	if err != nil {
		return d.failed(err)
	}
	return d.EnrolToken(ctx, token)
}

// Token goes that way as far as the token and returns it, without using it.
func (d *Android) Token(ctx context.Context, link string) (string, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", err
	}
	client := &http.Client{Transport: newTransport(d.o.Roots, nil), Jar: jar, Timeout: timeout}
	defer client.CloseIdleConnections()
	s := safari{http: client, agent: d.userAgent()}
	page, err := s.open(ctx, link)
	if err != nil {
		return "", fmt.Errorf("opening the invitation: %w", err)
	}
	form, err := page.form()
	if err != nil {
		return "", err
	}
	d.mu.Lock()
	d.seen.terms = page.main()
	fresh := d.new
	d.mu.Unlock()
	if page, err = s.submit(ctx, page, form); err != nil {
		return "", fmt.Errorf("accepting: %w", err)
	}
	if fresh {
		return page.setUpToken()
	}
	return page.enrolToken()
}

// userAgent is how Chrome introduces itself: on the phone, or, for a factory-new one, on the computer beside it.
func (d *Android) userAgent() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.new {
		return "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
	}
	return "Mozilla/5.0 (Linux; Android " + d.hw.os + "; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36"
}

// enrolToken finds the button for a phone in use and reads the token from its address, as the phone does.
func (p *webPage) enrolToken() (string, error) {
	for n := range p.root.Descendants() {
		if n.Type != html.ElementNode || n.Data != "a" || attr(n, "data-step") != "android" {
			continue
		}
		rest, ok := strings.CutPrefix(attr(n, "href"), enrolLink)
		token, err := url.QueryUnescape(rest)
		if !ok || err != nil || token == "" {
			return "", fmt.Errorf("the button leads to %q, which no Android opens as a set-up", hostOf(attr(n, "href")))
		}
		return token, nil
	}
	return "", fmt.Errorf("the page offers no set-up for Android: %s", p.main())
}

// setUpToken reads what a factory-new phone scans: the text behind the code, in data-qr, must be what Google made; or the token
// that is typed after afw#setup, in data-token.
func (p *webPage) setUpToken() (string, error) {
	var typed string
	for n := range p.root.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if has(n, "data-token") {
			if typed = strings.TrimSpace(attr(n, "data-token")); typed == "" {
				typed = strings.ReplaceAll(text(n), " ", "")
			}
		}
		if !has(n, "data-qr") {
			continue
		}
		var v map[string]any
		if err := json.Unmarshal([]byte(attr(n, "data-qr")), &v); err != nil {
			return "", fmt.Errorf("the code is no set-up: %w", err)
		}
		extras, _ := v[extraPrefix+"ADMIN_EXTRAS_BUNDLE"].(dict)
		if v[extraPrefix+"DEVICE_ADMIN_COMPONENT_NAME"] != agentComponent || v[extraPrefix+"DEVICE_ADMIN_SIGNATURE_CHECKSUM"] != agentChecksum || str(extras, agentExtra) == "" {
			return "", fmt.Errorf("the code does not set Android Device Policy up")
		}
		return str(extras, agentExtra), nil
	}
	if typed == "" {
		return "", fmt.Errorf("the page offers no set-up for a new Android: %s", p.main())
	}
	return typed, nil
}
