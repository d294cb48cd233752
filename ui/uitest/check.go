package uitest

import (
	_ "embed"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

//go:embed audit.js
var audit string

// Check fails t for everything that is wrong with the page as it stands, and for
// everything that went wrong on the way to it.
func (tab *Tab) Check(t testing.TB) {
	t.Helper()
	tab.Run(t, chromedp.Sleep(30*time.Millisecond)) // what scripts do at the start
	if !tab.view.NoScript {                         // there a promise is never kept, and nothing moves
		tab.settle(t)
	}
	var wrong []string
	tab.Eval(t, audit, &wrong)
	for _, w := range append(wrong, tab.Troubles()...) {
		t.Errorf("%s: %s", tab.Path(t), w)
	}
}

func (tab *Tab) settle(t testing.TB) {
	t.Helper()
	var drawn bool
	tab.Run(t, chromedp.Evaluate(settled, &drawn, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
}

// settled waits for two frames, in which a page follows a changed size; a tab that draws none is not waited for.
const settled = `new Promise((done) => { setTimeout(() => done(false), 1000); requestAnimationFrame(() => requestAnimationFrame(() => done(true))); })`

// focused describes where the keyboard is: how far down the document, and
// whether one can see it.
const focused = `(() => {
  const el = document.activeElement;
  if (!el || el === document.body) return { end: true };
  const visible = [el, ...["::before", "::after"].map((p) => [el, p])].some((x) => {
    const s = Array.isArray(x) ? getComputedStyle(x[0], x[1]) : getComputedStyle(x);
    return (s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0);
  });
  const r = el.getBoundingClientRect();
  const all = [...document.querySelectorAll("*")];
  return { end: false, at: all.indexOf(el), visible: visible || el.matches(".palette input"), onScreen: r.width > 0 && r.height > 0,
    name: el.tagName.toLowerCase() + (el.id ? "#" + el.id : "") + " " + (el.ariaLabel || el.textContent || el.name || "").trim().slice(0, 40) };
})()`

// CheckFocus walks the page with the tab key, steps at most, and fails t where
// the focus cannot be seen or jumps back.
func (tab *Tab) CheckFocus(t testing.TB, steps int) {
	t.Helper()
	last := -1
	for range steps {
		tab.Run(t, chromedp.KeyEvent(kb.Tab))
		var f struct {
			End, Visible, OnScreen bool
			At                     int
			Name                   string
		}
		tab.Eval(t, focused, &f)
		if f.End {
			return
		}
		if !f.Visible || !f.OnScreen {
			t.Errorf("%s: focus cannot be seen on %s", tab.Path(t), f.Name)
		}
		if f.At < last {
			if last > 0 && f.At < 60 {
				return // round to the beginning
			}
			t.Errorf("%s: focus jumps back to %s", tab.Path(t), f.Name)
		}
		last = f.At
	}
}
