package sim

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/smallstep/pkcs7"
)

// maxReply bounds what a device reads of one answer.
const maxReply = 32 << 20

// newTransport returns a transport that trusts roots and shows id when it is asked; nil shows nothing.
func newTransport(roots *x509.CertPool, id *identity) *http.Transport {
	conf := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	if id != nil {
		cert := &tls.Certificate{Certificate: [][]byte{id.cert.Raw}, PrivateKey: id.key, Leaf: id.cert}
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	return &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: conf, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: 2, IdleConnTimeout: 20 * time.Second, TLSHandshakeTimeout: 20 * time.Second}
}

// timeout bounds one request of a device.
const timeout = 60 * time.Second

// plain returns a client for pages and SCEP, which shows no certificate.
func (d *Apple) plain(with ...*profile) *http.Client {
	if d.o.Transport != nil {
		return &http.Client{Transport: d.o.Transport, Timeout: timeout}
	}
	return &http.Client{Transport: newTransport(d.roots(with...), nil), Timeout: timeout}
}

// mdmClient returns the client that talks to the server as id. Redirects are handled by send.
func (d *Apple) mdmClient(id *identity, with ...*profile) *http.Client {
	c := &http.Client{Timeout: timeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	switch {
	case d.o.Identity != IdentitySignature:
		c.Transport = newTransport(d.roots(with...), id)
	case d.o.Transport != nil:
		c.Transport = d.o.Transport
	default:
		c.Transport = newTransport(d.roots(with...), nil)
	}
	return c
}

// hangUp closes what a client keeps open, unless others share it.
func (d *Apple) hangUp(c *http.Client) {
	if t, ok := c.Transport.(*http.Transport); ok && t != d.o.Transport {
		t.CloseIdleConnections()
	}
}

// Content types of the two sorts of messages.
const (
	typeCheckIn = "application/x-apple-aspen-mdm-checkin"
	typeCommand = "application/x-apple-aspen-mdm; charset=UTF-8"
)

// checkIn sends a check-in message on a channel and returns the server's answer.
func (d *Apple) checkIn(ctx context.Context, m *management, ch *channel, message string, keys dict) ([]byte, error) {
	msg := dict{"MessageType": message}
	return d.send(ctx, m, m.checkInURL, typeCheckIn, d.identify(ch, msg, keys))
}

// identify adds the keys that tell who is talking, and the message's own.
func (d *Apple) identify(ch *channel, msg dict, keys dict) dict {
	msg["UDID"] = d.hw.udid
	if ch.user {
		msg["UserID"], msg["UserShortName"], msg["UserLongName"] = d.hw.userID, d.hw.userShort, d.hw.userLong
	}
	for k, v := range keys {
		msg[k] = v
	}
	return msg
}

// send puts one message and returns the body of a 200. An answer that ends management
// (401, or 403 with com.apple.unrecognized.device) does end it, and gives ErrUnmanaged.
func (d *Apple) send(ctx context.Context, m *management, link, contentType string, msg dict) ([]byte, error) {
	body, err := writePlist(msg)
	if err != nil {
		return nil, err
	}
	var signature string
	if m.sign && d.o.Identity != IdentityTLS {
		if signature, err = sign(body, m.id); err != nil {
			return nil, err
		}
	}
	for range 6 { // redirects are followed, never remembered
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, link, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", contentType)
		req.Header.Set("User-Agent", "MDM/1.0")
		if signature != "" {
			req.Header.Set("Mdm-Signature", signature)
		}
		resp, err := m.client.Do(req)
		if err != nil {
			return nil, fmt.Errorf("sending to the server: %w", err)
		}
		b, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
		resp.Body.Close()
		if err != nil {
			return nil, fmt.Errorf("reading the server's answer: %w", err)
		}
		switch resp.StatusCode {
		case http.StatusOK:
			if len(b) == 0 && slices.Contains(resp.TransferEncoding, "chunked") {
				d.complain("an empty answer was sent in chunks, without Content-Length 0")
			}
			return b, nil
		case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
			u, err := resp.Location()
			if err != nil || u.Scheme != "https" {
				return nil, refuse(domainMDM, 12006, "The server redirects to a place that is not accepted.")
			}
			link = u.String()
			continue
		case http.StatusUnauthorized:
			return nil, d.sentAway(m, "the server answered 401")
		case http.StatusForbidden:
			if unrecognized(b) && d.obeysUnrecognized() {
				return nil, d.sentAway(m, "the server does not recognise the device")
			}
		}
		return nil, &StatusError{Code: resp.StatusCode, Body: beginning(b)}
	}
	return nil, refuse(domainMDM, 12006, "The server redirects without end.")
}

// obeysUnrecognized reports whether the OS knows com.apple.unrecognized.device.
func (d *Apple) obeysUnrecognized() bool {
	if d.hw.kind == Mac {
		return d.major() >= 14
	}
	return d.major() >= 17
}

// unrecognized reads the body of a 403, JSON or property list.
func unrecognized(b []byte) bool {
	var v struct {
		Code string `json:"code"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		p, err := parseDict(b)
		if err != nil {
			return false
		}
		v.Code = str(p, "code")
	}
	return v.Code == "com.apple.unrecognized.device"
}

// beginning returns the first characters of a body, for an error's text.
func beginning(b []byte) string {
	s := strings.TrimSpace(string(b[:min(len(b), 200)]))
	return strings.ToValidUTF8(s, "?")
}

// sign makes the Mdm-Signature of a body: a detached CMS message in base64.
func sign(body []byte, id *identity) (string, error) {
	sd, err := pkcs7.NewSignedData(body)
	if err != nil {
		return "", err
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := sd.AddSigner(id.cert, id.key, pkcs7.SignerInfoConfig{}); err != nil {
		return "", err
	}
	sd.Detach()
	der, err := sd.Finish()
	if err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(der), nil
}

// hostOf shortens a link to what may be logged: invitation codes are secrets.
func hostOf(link string) string {
	u, err := url.Parse(link)
	if err != nil {
		return ""
	}
	return u.Host
}

// isStatus reports whether err is an answer with that status.
func isStatus(err error, code int) bool {
	var s *StatusError
	return errors.As(err, &s) && s.Code == code
}
