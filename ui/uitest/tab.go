package uitest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// View is how a page is looked at. The zero View is a wide, light screen of an
// English reader with scripts.
type View struct {
	Width, Height int    // 0 = 1280 × 900
	Dark          bool   // the system's colour scheme
	Lang          string // Accept-Language, "" = "en"
	NoScript      bool
	Touch         bool           // a touch screen
	UserAgent     string         // "" = Chromium's own
	Cookies       []*http.Cookie // set before the page is opened
	Allow         []string       // hosts that may be asked beside the page's own
}

// Tab is one page in the browser, with everything that went wrong in it.
type Tab struct {
	Ctx  context.Context
	view View

	mu        sync.Mutex
	troubles  []string
	documents map[string]bool // addresses opened as pages
	follows   bool            // a live stream of the page has begun
	host      string
}

// Open opens a page in a tab of its own, with its own cookies, and waits until
// it has loaded.
func (b *Browser) Open(t testing.TB, address string, v View) *Tab {
	t.Helper()
	if v.Width == 0 {
		v.Width = 1280
	}
	if v.Height == 0 {
		v.Height = 900
	}
	if v.Lang == "" {
		v.Lang = "en"
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	id, err := b.window()
	if err != nil {
		t.Fatalf("open a window: %v", err)
	}
	ctx, stop := chromedp.NewContext(b.ctx, chromedp.WithTargetID(id))
	ctx, cancel := context.WithTimeout(ctx, 6*time.Minute) // only a failing test waits for so long
	t.Cleanup(func() { cancel(); stop() })
	tab := &Tab{Ctx: ctx, view: v, host: u.Host, documents: map[string]bool{}}
	chromedp.ListenTarget(ctx, tab.listen)

	scheme := "light"
	if v.Dark {
		scheme = "dark"
	}
	agent := emulation.SetUserAgentOverride(v.UserAgent).WithAcceptLanguage(v.Lang)
	err = chromedp.Run(ctx,
		network.Enable(), log.Enable(), runtime.Enable(),
		emulation.SetDeviceMetricsOverride(int64(v.Width), int64(v.Height), 1, v.Width < 500),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}),
		chromedp.ActionFunc(func(ctx context.Context) error {
			if v.UserAgent == "" {
				var own string
				if err := chromedp.Evaluate("navigator.userAgent", &own).Do(ctx); err != nil {
					return err
				}
				agent.UserAgent = own
			}
			return agent.Do(ctx)
		}),
		chromedp.ActionFunc(func(ctx context.Context) error {
			return emulation.SetTouchEmulationEnabled(v.Touch).WithMaxTouchPoints(5).Do(ctx)
		}),
		emulation.SetScriptExecutionDisabled(v.NoScript),
		chromedp.ActionFunc(func(ctx context.Context) error {
			for _, c := range v.Cookies {
				if err := network.SetCookie(c.Name, c.Value).WithURL(address).WithPath("/").WithSecure(c.Secure || u.Scheme == "https").Do(ctx); err != nil {
					return err
				}
			}
			return nil
		}),
		chromedp.Navigate(address),
		chromedp.WaitReady("body", chromedp.ByQuery),
	)
	if err != nil {
		t.Fatalf("open %s: %v", address, err)
	}
	return tab
}

// listen collects what goes wrong.
func (tab *Tab) listen(ev any) {
	switch ev := ev.(type) {
	case *runtime.EventConsoleAPICalled:
		if ev.Type == runtime.APITypeError || ev.Type == runtime.APITypeWarning || ev.Type == runtime.APITypeAssert {
			var words []string
			for _, a := range ev.Args {
				words = append(words, string(a.Value)+a.Description)
			}
			tab.trouble("console %s: %s", ev.Type, strings.Join(words, " "))
		}
	case *runtime.EventExceptionThrown:
		tab.trouble("exception: %s", ev.ExceptionDetails.Error())
	case *log.EventEntryAdded:
		// A page that is meant to answer 404 says so in the log: only resources count.
		tab.mu.Lock()
		ofPage := ev.Entry.Source == log.SourceNetwork && tab.documents[ev.Entry.URL]
		tab.mu.Unlock()
		if ev.Entry.Level == log.LevelError && !ofPage {
			tab.trouble("log: %s %s", ev.Entry.Text, ev.Entry.URL)
		}
	case *network.EventResponseReceived:
		if ev.Type == network.ResourceTypeEventSource && ev.Response.Status == http.StatusOK {
			tab.mu.Lock()
			tab.follows = true
			tab.mu.Unlock()
		}
	case *network.EventRequestWillBeSent:
		u, err := url.Parse(ev.Request.URL)
		if err != nil || u.Scheme == "data" || u.Scheme == "about" || u.Scheme == "chrome" {
			return
		}
		tab.mu.Lock()
		if ev.Type == network.ResourceTypeDocument {
			tab.documents[ev.Request.URL] = true
		}
		own := u.Host == tab.host
		for _, h := range tab.view.Allow {
			own = own || u.Host == h
		}
		tab.mu.Unlock()
		if !own {
			tab.trouble("request to elsewhere: %s", ev.Request.URL)
		}
	}
}

func (tab *Tab) trouble(format string, args ...any) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.troubles = append(tab.troubles, fmt.Sprintf(format, args...))
}

// Run runs actions in the tab, one after the other.
func (tab *Tab) Run(t testing.TB, actions ...chromedp.Action) {
	t.Helper()
	for _, a := range actions {
		err := chromedp.Run(tab.Ctx, a)
		for tries := 0; replaced(err) && tries < 10; tries++ {
			time.Sleep(50 * time.Millisecond)
			err = chromedp.Run(tab.Ctx, a)
		}
		if err != nil {
			t.Fatalf("in the browser: %v", err)
		}
	}
}

// replaced tells an element that the page put another in the place of, between being found and being used. A person would not notice:
// they would meet the new one.
func replaced(err error) bool {
	var answer *cdproto.Error
	return errors.As(err, &answer) && answer.Code == -32000 && strings.Contains(answer.Message, "node")
}

// Follow waits until the server tells the page what changes.
func (tab *Tab) Follow(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		tab.mu.Lock()
		follows := tab.follows
		tab.mu.Unlock()
		if follows {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not ask what changes", tab.Path(t))
		}
	}
}

// Click presses the first visible match and waits for what it leads to.
func (tab *Tab) Click(t testing.TB, selector string) {
	t.Helper()
	tab.Run(t, center(selector), chromedp.Click(selector, chromedp.ByQuery, chromedp.NodeVisible), chromedp.Sleep(50*time.Millisecond), chromedp.WaitReady("body", chromedp.ByQuery))
}

// center scrolls as a person does who is about to press something: on a phone it may lie under the bar at the bottom, where a press would
// meet the bar.
func center(selector string) chromedp.Action {
	return chromedp.Tasks{
		chromedp.WaitVisible(selector, chromedp.ByQuery),
		chromedp.Evaluate(fmt.Sprintf(`document.querySelector(%q).scrollIntoView({block: "center", behavior: "instant"})`, selector), nil),
	}
}

// Type writes into the first match.
func (tab *Tab) Type(t testing.TB, selector, text string) {
	t.Helper()
	tab.Run(t, chromedp.SendKeys(selector, text, chromedp.ByQuery))
}

// Submit presses a button that leads to another page, and waits for that.
func (tab *Tab) Submit(t testing.TB, selector string) {
	t.Helper()
	if _, err := chromedp.RunResponse(tab.Ctx, center(selector), chromedp.Click(selector, chromedp.ByQuery, chromedp.NodeVisible)); err != nil {
		t.Fatalf("press %s: %v", selector, err)
	}
}

// Text returns the visible text of the first match.
func (tab *Tab) Text(t testing.TB, selector string) string {
	t.Helper()
	var text string
	tab.Run(t, chromedp.Text(selector, &text, chromedp.ByQuery))
	return text
}

// Path returns path and query of the present address.
func (tab *Tab) Path(t testing.TB) string {
	t.Helper()
	var address string
	tab.Run(t, chromedp.Location(&address))
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.RequestURI()
}

// Eval runs a script in the page and decodes its result.
func (tab *Tab) Eval(t testing.TB, script string, into any) {
	t.Helper()
	var raw []byte
	tab.Run(t, chromedp.Evaluate(script, &raw, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("script result %s: %v", raw, err)
	}
}

// Shot writes a screenshot of the whole page to $MUSTER_SHOTS/name.png, if set.
func (tab *Tab) Shot(t testing.TB, name string) {
	t.Helper()
	dir := os.Getenv("MUSTER_SHOTS")
	if dir == "" {
		return
	}
	var png []byte
	tab.Run(t, chromedp.Sleep(150*time.Millisecond), chromedp.FullScreenshot(&png, 100))
	if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, "/", "-")+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Troubles returns what went wrong in the tab so far.
func (tab *Tab) Troubles() []string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return append([]string(nil), tab.troubles...)
}
