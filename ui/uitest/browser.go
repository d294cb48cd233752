// Package uitest looks at pages in headless Chromium, as a person and as an
// auditor would: it opens them in light and dark, narrow and wide, with and
// without scripts, and finds console errors, reports of the content policy,
// requests to elsewhere, missing landmarks and labels, weak contrast, sideways
// scrolling and invisible focus.
//
//	b := uitest.Start(t)
//	tab := b.Open(t, url, uitest.View{Width: 360, Dark: true})
//	tab.Check(t)
//
// Without Chromium the test is skipped, saying so; with MUSTER_REQUIRE_ALL=1 it
// fails instead. MUSTER_CHROMIUM names another binary. With MUSTER_SHOTS=DIR
// Shot writes screenshots there.
package uitest

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// Browser is a running Chromium. It ends with the test that started it.
type Browser struct {
	ctx context.Context
}

// Start starts Chromium for t, or skips t when there is none.
func Start(t testing.TB) *Browser {
	t.Helper()
	path := find()
	if path == "" {
		if os.Getenv("MUSTER_REQUIRE_ALL") == "1" {
			t.Fatal("Chromium is required (MUSTER_REQUIRE_ALL=1) and was not found")
		}
		t.Skip("skipped: Chromium was not found; install it, or name its binary in MUSTER_CHROMIUM")
	}
	opts := append([]chromedp.ExecAllocatorOption{}, chromedp.DefaultExecAllocatorOptions[:]...)
	opts = append(opts,
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.IgnoreCertErrors,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("hide-scrollbars", true), chromedp.Flag("force-color-profile", "srgb"),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1, EXCLUDE [::1]"),
		chromedp.WSURLReadTimeout(60*time.Second),
	)
	alloc, stopAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, stop := chromedp.NewContext(alloc, chromedp.WithErrorf(t.Logf))
	t.Cleanup(func() { stop(); stopAlloc() })
	if err := chromedp.Run(ctx); err != nil {
		t.Fatalf("start Chromium: %v", err)
	}
	return &Browser{ctx: ctx}
}

// window opens a window with cookies of its own. (Current Chromium refuses a tab
// in a fresh browser context that has no window yet, which is what chromedp asks
// for.)
func (b *Browser) window() (id target.ID, err error) {
	ctx := cdp.WithExecutor(b.ctx, chromedp.FromContext(b.ctx).Browser)
	own, err := target.CreateBrowserContext().WithDisposeOnDetach(true).Do(ctx)
	if err != nil {
		return "", err
	}
	return target.CreateTarget("about:blank").WithBrowserContextID(own).WithNewWindow(true).Do(ctx)
}

// find returns the path of Chromium, or "".
func find() string {
	if name := os.Getenv("MUSTER_CHROMIUM"); name != "" {
		path, err := exec.LookPath(name)
		if err != nil {
			return ""
		}
		return path
	}
	// The headless shell first: it draws the same pages and spends half the time, for it has no windows of its own to draw.
	for _, name := range []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}
