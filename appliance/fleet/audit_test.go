package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"muster/store"
)

// The chain must betray every tampering by someone who can write to the store but lacks the secrets key.
func TestTamperingWithTheLogIsFound(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(rt, "records")
		h.update(func(tx store.Tx) error {
			var old []string
			if err := auditLog.Each(tx, store.Query{}, func(r *AuditRecord) (bool, error) { old = append(old, auditID(r.Seq)); return true, nil }); err != nil {
				return err
			}
			for _, id := range old {
				if err := auditLog.Delete(tx, id); err != nil {
					return err
				}
			}
			return tx.Delete(keyAuditHead)
		})
		text := rapid.StringMatching(`[ -~é\x00<>"]{0,20}`)
		for range n {
			a := Actor{Kind: ActorAdmin, ID: text.Draw(rt, "id"), Name: text.Draw(rt, "name"), From: "192.0.2.7"}
			label, value := text.Draw(rt, "label"), text.Draw(rt, "value")
			h.update(func(tx store.Tx) error {
				return h.record(tx, a, "update", "thing/1", label, []Tag{"a"}, map[string]string{"v": value}, map[string]string{"v": value + "!"})
			})
		}
		broken, checked, err := h.VerifyAudit(ctx, h.owner)
		if err != nil || broken != 0 || checked != n {
			rt.Fatalf("untouched log: broken %d, checked %d, err %v", broken, checked, err)
		}
		at := uint64(rapid.IntRange(1, n).Draw(rt, "at"))
		how := rapid.SampledFrom([]string{"label", "actor", "time", "after", "tags", "delete", "tail", "swap", "insert", "rewrite", "head"}).Draw(rt, "how")
		if how == "swap" && (n < 2 || at == uint64(n)) {
			how = "label"
		}
		tamper(h, how, at, n)
		broken, _, err = h.VerifyAudit(ctx, h.owner)
		if broken == 0 && err == nil {
			rt.Fatalf("%s at %d of %d was not found", how, at, n)
		}
	})
}

func tamper(h *house, how string, at uint64, n int) {
	h.update(func(tx store.Tx) error {
		r, err := auditLog.Get(tx, auditID(at))
		if err != nil {
			return err
		}
		switch how {
		case "label":
			r.Label += "x"
		case "actor":
			r.Actor = "someone else entirely"
		case "time":
			r.At = r.At.Add(-time.Second)
		case "after":
			r.After = json.RawMessage(`{"v":"nothing to see here at all"}`)
		case "tags":
			r.Tags = nil
		case "delete":
			return auditLog.Delete(tx, auditID(at))
		case "tail":
			for i := at; i <= uint64(n); i++ {
				if err := auditLog.Delete(tx, auditID(i)); err != nil {
					return err
				}
			}
			return nil
		case "swap":
			s, err := auditLog.Get(tx, auditID(at+1))
			if err != nil {
				return err
			}
			r.Seq, s.Seq = s.Seq, r.Seq
			if err := auditLog.Put(tx, s); err != nil {
				return err
			}
		case "insert": // a record after the end, properly chained
			last, err := auditLog.Get(tx, auditID(uint64(n)))
			if err != nil {
				return err
			}
			r = &AuditRecord{Seq: uint64(n) + 1, At: last.At, Verb: "update", Previous: last.Hash}
			if r.Hash, err = hashOf(r); err != nil {
				return err
			}
		case "rewrite": // a change with all hashes made anew up to the end
			r.Label = "innocent" + r.Label
			previous := r.Previous
			for i := at; ; i++ {
				r.Previous = previous
				if r.Hash, err = hashOf(r); err != nil {
					return err
				}
				previous = r.Hash
				if err := auditLog.Put(tx, r); err != nil || i == uint64(n) {
					return err
				}
				if r, err = auditLog.Get(tx, auditID(i+1)); err != nil {
					return err
				}
			}
		case "head": // an end of one's own making
			return tx.Put(keyAuditHead, []byte(`{"seq":0}`))
		}
		return auditLog.Put(tx, r)
	})
}

func TestChangeAndLogAreOneCommit(t *testing.T) {
	h := newHouse(t)
	name := "Anna"
	before := h.auditText()
	_, err := h.CreatePerson(context.Background(), h.owner, PersonInput{Name: &name, Mail: ptr("not an address")})
	wantField(t, err, "mail", "input.mail")
	after := h.auditText()
	if strings.Count(after, "\n")-strings.Count(before, "\n") != 1 { // only the first export itself
		t.Errorf("a refused change left a record:\n%s", after)
	}
}

func TestAuditQueries(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	start := h.clock.now()
	for i := range 30 {
		who := Actor{Kind: ActorAdmin, ID: "adm-" + fmt.Sprint(i%2), Name: "Admin " + fmt.Sprint(i%2), From: "198.51.100.4", Via: "ui"}
		tags := []Tag{"north"}
		if i%3 == 0 {
			tags = []Tag{"south"}
		}
		h.update(func(tx store.Tx) error {
			return h.record(tx, who, []string{"create", "update"}[i%2], "device/"+fmt.Sprint(i%5), "Phone "+fmt.Sprint(i), tags, nil, map[string]int{"n": i})
		})
		h.clock.move(time.Minute)
	}
	tests := []struct {
		name  string
		actor Actor
		q     AuditQuery
		want  int
	}{
		{"everything", h.owner, AuditQuery{}, 30},
		{"one object", h.owner, AuditQuery{Object: "device/3"}, 6},
		{"one actor by id", h.owner, AuditQuery{Actor: "adm-1"}, 15},
		{"one actor by name", h.owner, AuditQuery{Actor: "Admin 0"}, 15},
		{"one verb", h.owner, AuditQuery{Verb: "create"}, 15},
		{"ten minutes", h.owner, AuditQuery{Since: start.Add(5 * time.Minute), Until: start.Add(15 * time.Minute)}, 10},
		{"all at once", h.owner, AuditQuery{Object: "device/0", Actor: "adm-0", Verb: "create", Since: start, Until: start.Add(11 * time.Minute)}, 2},
		{"search", h.owner, AuditQuery{ListQuery: ListQuery{Search: "phone 2"}}, 11},
		{"the south only", h.scoped("south"), AuditQuery{}, 10},
		{"outside the scope", h.scoped("east"), AuditQuery{}, 0},
		{"the south, one object", h.scoped("south"), AuditQuery{Object: "device/3"}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, reverse := range []bool{false, true} {
				q := tt.q
				q.Limit, q.Reverse = 4, reverse
				var seqs []uint64
				for {
					page, err := h.Audit(ctx, tt.actor, q)
					if err != nil {
						t.Fatal(err)
					}
					for _, r := range page.Items {
						seqs = append(seqs, r.Seq)
					}
					if q.Cursor = page.Next; q.Cursor == "" {
						break
					}
				}
				if len(seqs) != tt.want {
					t.Errorf("got %d records, want %d", len(seqs), tt.want)
				}
				for i := 1; i < len(seqs); i++ {
					if (seqs[i] > seqs[i-1]) != reverse {
						t.Fatalf("out of order (reverse %v): %v", reverse, seqs)
					}
				}
			}
		})
	}
	t.Run("export holds the same, oldest first, and is logged", func(t *testing.T) {
		var b bytes.Buffer
		if err := h.ExportAudit(ctx, h.owner, AuditQuery{Object: "device/3"}, &b); err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(&b)
		var last uint64
		n := 0
		for d.More() {
			var r AuditRecord
			if err := d.Decode(&r); err != nil {
				t.Fatal(err)
			}
			if r.Seq <= last || r.Object != "device/3" {
				t.Errorf("record %d of %s after %d", r.Seq, r.Object, last)
			}
			last = r.Seq
			n++
		}
		if n != 6 {
			t.Errorf("exported %d, want 6", n)
		}
		page, err := h.Audit(ctx, h.owner, AuditQuery{Verb: "export"})
		if err != nil || len(page.Items) != 1 || page.Items[0].Actor != "owner" {
			t.Errorf("export in the log: %v, %v", page.Items, err)
		}
	})
	t.Run("rights", func(t *testing.T) {
		nobody := Actor{}
		_, err := h.Audit(ctx, nobody, AuditQuery{})
		wantRefusal(t, err, ErrForbidden, "forbidden")
		wantRefusal(t, h.ExportAudit(ctx, nobody, AuditQuery{}, &bytes.Buffer{}), ErrForbidden, "forbidden")
		_, _, err = h.VerifyAudit(ctx, nobody)
		wantRefusal(t, err, ErrForbidden, "forbidden")
	})
	t.Run("a cursor that is none", func(t *testing.T) {
		_, err := h.Audit(ctx, h.owner, AuditQuery{ListQuery: ListQuery{Cursor: "x\x00y"}})
		wantRefusal(t, err, ErrInvalid, "input.cursor")
	})
}

func TestSecretsStayOutOfTheLog(t *testing.T) {
	got, err := auditJSON(map[string]any{"password": "hunter22", "code_hash": []byte("hash"), "nested": []any{map[string]any{"shared_secret": "xyzzy", "n": json.Number("12345678901234567890")}},
		"password_required": true, "allow_password": true, "name": "kept", "totp": []byte("otp"), "recovery": []string{"r1"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"hunter22", "xyzzy", "r1\"", "aGFzaA", "b3Rw"} {
		if bytes.Contains(got, []byte(secret)) {
			t.Errorf("%q is in %s", secret, got)
		}
	}
	for _, kept := range []string{`"name":"kept"`, `"allow_password":true`, `"password_required":true`, "12345678901234567890"} {
		if !bytes.Contains(got, []byte(kept)) {
			t.Errorf("%q is missing in %s", kept, got)
		}
	}
	big, err := auditJSON(map[string]string{"text": strings.Repeat("x", auditMost)})
	if err != nil || len(big) > 200 || !bytes.Contains(big, []byte("sha256")) {
		t.Errorf("a huge value is kept as %d bytes, %v", len(big), err)
	}
}

// Retention takes out what is old, and only from the beginning; what is left is still proved, and so is that nothing else went.
func TestRetentionOfTheLog(t *testing.T) {
	h := newHouse(t)
	ctx := context.Background()
	log := func(label string) {
		h.update(func(tx store.Tx) error { return h.record(tx, h.owner, "update", "thing/1", label, nil, nil, nil) })
	}
	for i := range auditPruneBatch + 7 {
		log(fmt.Sprint("old ", i))
	}
	h.clock.move(40 * 24 * time.Hour)
	log("new")
	if err := h.sweepAudit(ctx); err != nil {
		t.Fatal(err)
	}
	_, before, err := h.VerifyAudit(ctx, h.owner)
	if err != nil {
		t.Fatal(err)
	}
	s, err := h.Settings(ctx)
	if err != nil {
		t.Fatal(err)
	}
	s.Organisation, s.URL, s.AuditDays = "Test", "https://muster.example.org", 30
	if _, err := h.SaveSettings(ctx, h.owner, *s); err != nil {
		t.Fatal(err)
	}
	if err := h.sweepAudit(ctx); err != nil {
		t.Fatal(err)
	}
	broken, after, err := h.VerifyAudit(ctx, h.owner)
	if err != nil || broken != 0 {
		t.Fatalf("after retention: broken at %d, %v", broken, err)
	}
	if after != 4 { // "new", the settings, and two batches taken out
		t.Errorf("%d records are left of %d, want 4", after, before)
	}
	page, err := h.Audit(ctx, h.owner, AuditQuery{Object: "audit"})
	if err != nil || len(page.Items) != 2 || page.Items[0].Verb != "delete" || page.Items[0].Actor == "" {
		t.Errorf("what was taken out is not in the log: %+v, %v", page.Items, err)
	}
	if err := h.sweepAudit(ctx); err != nil {
		t.Fatal(err)
	}
	if _, again, _ := h.VerifyAudit(ctx, h.owner); again != after {
		t.Errorf("a second sweep left %d of %d", again, after)
	}
	// Who cuts the beginning off by hand is found out all the same.
	h.update(func(tx store.Tx) error {
		first := ""
		if err := auditLog.Each(tx, store.Query{}, func(r *AuditRecord) (bool, error) { first = auditID(r.Seq); return false, nil }); err != nil {
			return err
		}
		return auditLog.Delete(tx, first)
	})
	if broken, _, err := h.VerifyAudit(ctx, h.owner); broken == 0 && err == nil {
		t.Error("a beginning cut off by hand is not found")
	}
}
