package store_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"muster/store"
)

// smallUpdate reads three keys and writes five, like a device's report.
func smallUpdate(tx store.Tx, n int64) error {
	for i := range int64(3) {
		if _, err := tx.Get([]byte(fmt.Sprintf("bench/%08d", (n*7+i)%4096))); err != nil && err != store.ErrNotFound {
			return err
		}
	}
	value := []byte(strings.Repeat("v", 256))
	for i := range int64(5) {
		if err := tx.Put([]byte(fmt.Sprintf("bench/%08d", (n*5+i)%4096)), value); err != nil {
			return err
		}
	}
	return nil
}

func BenchmarkUpdateParallel(b *testing.B) {
	db, ctx := openStore(b, ""), context.Background()
	var n atomic.Int64
	before := db.Syncs()
	b.SetParallelism(16 / runtime.GOMAXPROCS(0))
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			if err := db.Update(ctx, func(tx store.Tx) error { return smallUpdate(tx, i) }); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
	b.ReportMetric(float64(b.N)/float64(db.Syncs()-before), "updates/sync")
}

func BenchmarkUpdateAlone(b *testing.B) {
	db, ctx := openStore(b, ""), context.Background()
	for i := range int64(b.N) {
		if err := db.Update(ctx, func(tx store.Tx) error { return smallUpdate(tx, i) }); err != nil {
			b.Fatal(err)
		}
	}
}

// fill writes n records of about 1.5 KB.
func fill(b testing.TB, db *store.DB, n int) {
	b.Helper()
	ctx, note := context.Background(), strings.Repeat("n", 1400)
	for from := 0; from < n; from += 200 {
		err := db.Update(ctx, func(tx store.Tx) error {
			for i := from; i < min(from+200, n); i++ {
				g := &gadget{ID: fmt.Sprintf("%08d", i), Serial: fmt.Sprintf("S%08d", i), Owner: fmt.Sprintf("p%03d", i%100), Note: note}
				if err := gadgets.Put(tx, g); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	db, ctx := openStore(b, ""), context.Background()
	fill(b, db, 10_000)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			err := db.View(ctx, func(tx store.Tx) error {
				_, err := gadgets.Get(tx, fmt.Sprintf("%08d", i*7919%10_000))
				return err
			})
			if err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkView is the least that an idle check-in costs: a snapshot and two keys, undecoded.
func BenchmarkView(b *testing.B) {
	db, ctx := openStore(b, ""), context.Background()
	fill(b, db, 10_000)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			err := db.View(ctx, func(tx store.Tx) error {
				id := fmt.Sprintf("%08d", i*7919%10_000)
				if _, err := tx.Get([]byte("ix/gadget/serial/S" + id + "\x00\x01")); err != nil {
					return err
				}
				_, err := tx.Get([]byte("gadget/" + id))
				return err
			})
			if err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkList(b *testing.B) {
	db, ctx := openStore(b, ""), context.Background()
	fill(b, db, 10_000)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		err := db.View(ctx, func(tx store.Tx) error {
			page, err := gadgets.List(tx, store.Query{Index: "owner", Value: fmt.Sprintf("p%03d", i%100)})
			if err == nil && len(page.Items) != 50 {
				b.Errorf("got %d items, want 50", len(page.Items))
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHeapAtRest reports what stays on the heap of a store with 10,000 records of 1.5 KB when nothing runs.
// Run it with -benchtime 1x.
func BenchmarkHeapAtRest(b *testing.B) {
	var m runtime.MemStats
	heap := func() float64 {
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	before := heap()
	o := testOptions()
	o.Small = false
	db, err := store.Open(b.TempDir(), o)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	fill(b, db, 10_000)
	b.ReportMetric(heap()-before, "MiB-busy")
	time.Sleep(25 * time.Second) // the engine gives its buffers back one at a time, every two seconds
	b.ReportMetric(heap()-before, "MiB-idle")
}
