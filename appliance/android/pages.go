package android

import (
	"context"
	"errors"
	"net/http"
	"net/url"
)

// errEndless says that a list has more pages than can be believed.
var errEndless = errors.New("the list has no end")

// walkPages reads a list of Google's page by page, at most so many. next is a page's token for the one after it; take ends the walk by false. An error
// leaves the list half read: nothing follows from what was taken until then.
func walkPages[T any](ctx context.Context, c *client, l lane, path string, q url.Values, most int, next func(*T) string, take func(*T) (more bool, err error)) error {
	if q == nil {
		q = url.Values{}
	}
	q.Set("pageSize", "100")
	token := ""
	for range most {
		if token != "" {
			q.Set("pageToken", token)
		}
		page := new(T)
		if err := c.manage(ctx, l, http.MethodGet, path, q, nil, page); err != nil {
			return err
		}
		if more, err := take(page); err != nil || !more {
			return err
		}
		n := next(page)
		if n == "" || n == token {
			return nil
		}
		token = n
	}
	return errEndless
}
