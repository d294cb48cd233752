package appliance

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// benchConn is one device's connection: TLS with its identity, and HTTP/1.1 written by hand. The load shares two processors with the
// server, so what it spends on itself would be counted against the server.
type benchConn struct {
	conn *tls.Conn
	in   *bufio.Reader
}

// dial opens a connection with a full handshake: nothing is resumed.
func (w *benchWorld) dial(d *benchDevice) (*benchConn, error) {
	u, err := url.Parse(w.deviceURL)
	if err != nil {
		return nil, err
	}
	raw, err := net.DialTimeout("tcp", u.Host, 30*time.Second)
	if err != nil {
		return nil, err
	}
	conn := tls.Client(raw, &tls.Config{RootCAs: w.roots, ServerName: u.Hostname(), Certificates: []tls.Certificate{d.identity}})
	conn.SetDeadline(time.Now().Add(10 * time.Minute))
	if err := conn.Handshake(); err != nil {
		raw.Close()
		return nil, err
	}
	return &benchConn{conn, bufio.NewReader(conn)}, nil
}

// connected gives a device a connection if it has none.
func (w *benchWorld) connected(d *benchDevice) error {
	if d.conn != nil {
		return nil
	}
	c, err := w.dial(d)
	d.conn = c
	return err
}

func (d *benchDevice) hangUp() {
	if d.conn != nil {
		d.conn.conn.Close()
		d.conn = nil
	}
}

var contentTypes = map[string]string{"checkin": "application/x-apple-aspen-mdm-checkin", "connect": "application/x-apple-aspen-mdm; charset=UTF-8"}

// put sends one message of an Apple device and returns the body of the answer, which must be 200.
func (c *benchConn) put(endpoint string, body []byte) ([]byte, error) {
	return c.request("PUT", "/mdm/apple/"+endpoint, contentTypes[endpoint], body)
}

// request sends one message and returns the body of the answer, which must be 200.
func (c *benchConn) request(method, path, kind string, body []byte) ([]byte, error) {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s %s HTTP/1.1\r\nHost: device\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n", method, path, kind, len(body))
	out.Write(body)
	if _, err := c.conn.Write(out.Bytes()); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s %.200s", path, resp.Status, answer)
	}
	return answer, err
}

// send puts a message on the device's connection, which it opens if there is none.
func (w *benchWorld) send(d *benchDevice, endpoint string, body []byte) ([]byte, error) {
	if err := w.connected(d); err != nil {
		return nil, err
	}
	return d.conn.put(endpoint, body)
}
