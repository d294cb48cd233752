package uitest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// poor is a page with one mistake of each kind.
const poor = `<!doctype html><html><head><title>Poor</title></head><body>
<p>Before everything</p>
<nav aria-label="Pages"><a href="/">Home</a></nav><nav aria-label="Pages"><a href="/b">B</a></nav>
<main><h1>Poor</h1><h3>Too deep</h3>
<p tabindex="3">First, please</p>
<div aria-hidden="true"><a href="/c">Hidden</a></div>
<ul><p>No item</p></ul>
<table><tr><th>Head</th><td>Cell</td></tr></table>
<label>Name <input name="name" aria-invalid="true"></label><input name="unnamed">
<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">
<p><font color="#bbbbbb">Too pale</font></p>
</main></body></html>`

// TestAuditFindsMistakes: the audit that all pages pass is not blind.
func TestAuditFindsMistakes(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, poor)
	}))
	defer server.Close()
	var wrong []string
	Start(t).Open(t, server.URL, View{}).Eval(t, audit, &wrong)
	all := strings.Join(wrong, "\n")
	for _, want := range []string{"the page has no language", "outside every landmark: p", "two landmarks are called “Pages”", "heading level skipped before h3", "front of the tab order",
		"hidden from screen readers", "in a list is no item", "does not say what it is the head of", "nothing says why", "[name=unnamed] has no label", "no alternative text", "contrast"} {
		if !strings.Contains(all, want) {
			t.Errorf("the audit does not see: %s", want)
		}
	}
	if t.Failed() {
		t.Log(all)
	}
}
