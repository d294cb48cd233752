package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"muster/appliance/fleet"
)

// call is one authenticated request.
type call struct {
	*server
	*http.Request
	Actor fleet.Actor
	w     http.ResponseWriter
	body  []byte
	read  bool
}

// path returns a path parameter.
func (c *call) path(name string) string { return c.PathValue(name) }

// bytes reads the body once.
func (c *call) bytes() ([]byte, error) {
	if !c.read {
		b, err := io.ReadAll(c.Body)
		if err != nil {
			var large *http.MaxBytesError
			if errors.As(err, &large) {
				return nil, badRequest("the body is larger than %d bytes", large.Limit)
			}
			return nil, badRequest("the body was cut off")
		}
		c.body, c.read = b, true
	}
	return c.body, nil
}

// decode reads the body strictly: an unknown field is refused, so that a typing error never passes for a setting.
func decode[T any](c *call) (T, error) {
	var v T
	b, err := c.bytes()
	if err != nil {
		return v, err
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		return v, badRequest("the body is not the JSON that is wanted: %s", err)
	}
	if d.More() {
		return v, badRequest("more than one JSON value in the body")
	}
	return v, nil
}

// list reads ?q=&cursor=&limit=&reverse=.
func (c *call) list() (fleet.ListQuery, error) {
	v := c.URL.Query()
	q := fleet.ListQuery{Search: v.Get("q"), Cursor: v.Get("cursor"), Reverse: v.Get("reverse") == "true"}
	if l := v.Get("limit"); l != "" {
		n, err := strconv.Atoi(l)
		if err != nil || n < 1 || n > 500 {
			return q, badRequest("limit: a number from 1 to 500")
		}
		q.Limit = n
	}
	return q, nil
}

// moment reads a time parameter (RFC 3339); absent is the zero time.
func (c *call) moment(name string) (time.Time, error) {
	v := c.URL.Query().Get(name)
	if v == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil {
		return t, badRequest("%s: a time like 2026-01-31T12:00:00Z", name)
	}
	return t, nil
}

func marshal(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	return append(b, '\n'), err
}
