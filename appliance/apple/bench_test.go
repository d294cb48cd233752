package apple

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"muster/appliance/fleet"
)

// BenchmarkIdle is the check-in of a device with nothing to do: over mutual TLS with keep-alive, client and server in one process, real
// domain and store.
func BenchmarkIdle(b *testing.B) {
	for _, sign := range []bool{false, true} {
		b.Run(fmt.Sprintf("signed=%v", sign), func(b *testing.B) {
			w := newWorld(b)
			var gadgets []*gadget
			for i := range 16 {
				g := w.invite(fleet.IOS, fleet.Corporate, fmt.Sprintf("UDID-BENCH-%d", i))
				g.run()
				g.run()
				gadgets = append(gadgets, g)
			}
			b.SetParallelism(8)
			var n atomic.Int32
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				g := gadgets[int(n.Add(1)-1)%len(gadgets)]
				body := g.message("Status", "Idle")
				header := ""
				if sign {
					header = signature(b, body, g.id)
				}
				for pb.Next() {
					req, err := http.NewRequest(http.MethodPut, g.server.URL+ConnectPath, bytes.NewReader(body))
					if err != nil {
						b.Error(err)
						return
					}
					if sign {
						req.Header.Set("Mdm-Signature", header)
					}
					resp, err := g.client.Do(req)
					if err != nil {
						b.Error(err)
						return
					}
					resp.Body.Close()
					if resp.StatusCode != http.StatusOK || resp.ContentLength != 0 {
						b.Errorf("%d, %d bytes", resp.StatusCode, resp.ContentLength)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "check-ins/s")
		})
	}
}

// BenchmarkHandler is the same without network and TLS: what this package and the domain cost.
func BenchmarkHandler(b *testing.B) {
	w := newWorld(b)
	g := w.invite(fleet.IOS, fleet.Corporate, "UDID-BENCH")
	g.run()
	g.run()
	body := g.message("Status", "Idle")
	h := w.apple.Handler()
	sig := signature(b, body, g.id)
	b.ReportAllocs()
	for b.Loop() {
		req := httptest.NewRequestWithContext(context.Background(), http.MethodPut, ConnectPath, bytes.NewReader(body))
		req.Header.Set("Mdm-Signature", sig)
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, req)
		if rec.Code != http.StatusOK {
			b.Fatal(rec.Code)
		}
	}
}

// BenchmarkReadPlist reads the commonest message.
func BenchmarkReadPlist(b *testing.B) {
	w := &wire{udid: testUDID}
	body := w.message("Status", "Idle")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := readPlist(body); err != nil {
			b.Fatal(err)
		}
	}
}
