package windows

import (
	"bytes"
	"context"
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"muster/appliance/fleet"
	"muster/pki"
	"muster/store"
)

// scepWithin is how long a PC may take to fetch a certificate before it counts as not there.
const scepWithin = time.Hour

// unreadWithin is how long a node that the device cannot read now may keep its unit waiting.
const unreadWithin = time.Hour

// finish turns a job that is over into an answer, or asks for one more batch.
func (w *Windows) finish(ctx context.Context, t *turn, j *job) (*fleet.Answer, *batch, error) {
	if j.Order == "" {
		return nil, nil, nil
	}
	ans := &fleet.Answer{Order: j.Order, Outcome: fleet.Done}
	switch j.Step {
	case fleet.StepInstall:
		if c := j.failed(); c != nil {
			ans.Outcome, ans.Reason = fleet.Failed, explain(c)
			ans.Unfit = c.Code == 404 || c.Code == 405 || c.Code == 406
			return ans, nil, w.rollBack(ctx, t.c.Identity.Enrolment, j.Unit)
		}
		return ans, nil, nil
	case fleet.StepRemove:
		gone := false
		j.each(func(c *command) { gone = gone || c.Code != 404 })
		if c := j.failed(); c != nil {
			ans.Outcome, ans.Reason = fleet.Failed, explain(c)
		} else if !gone {
			ans.Outcome = fleet.Absent
		}
		return ans, nil, nil
	case fleet.StepQuery:
		switch j.Query {
		case fleet.QueryProfiles:
			return w.readBack(ctx, t, j, ans)
		case fleet.QueryCertificates:
			return ans, nil, w.readCertificates(ctx, t, j, ans)
		}
		ans.Facts = factsIn(j)
		return ans, nil, nil
	}
	if c := j.failed(); c != nil {
		ans.Outcome, ans.Reason = fleet.Failed, explain(c)
		if c.Code == 400 {
			ans.Outcome = fleet.Malformed
		}
		return ans, nil, nil
	}
	ans.Reply = replyIn(j)
	return ans, nil, nil
}

// rollBack notes that a version was refused: what was there before is there still.
func (w *Windows) rollBack(ctx context.Context, e fleet.EnrolmentID, unit string) error {
	return w.db.Update(ctx, func(tx store.Tx) error {
		d, err := ledger.Get(tx, string(e)+"/"+unit)
		if err != nil {
			return err
		}
		if old := d.back(); old != nil {
			return ledger.Put(tx, old)
		}
		return nil // some of its nodes may be there: they stay listed
	})
}

// found is what reading back a delivery showed.
type found int

const (
	foundNone found = iota // nothing of it is there
	foundSome              // something is, but not as wanted
	foundAll
	foundLater // it is on its way
	foundNot   // the device cannot tell now
)

// readBack compares nodes with the ledger. Only this makes an installation succeed.
func (w *Windows) readBack(ctx context.Context, t *turn, j *job, ans *fleet.Answer) (*fleet.Answer, *batch, error) {
	read := map[string]*command{}
	j.each(func(c *command) { read[c.URI] = c })
	ans.Markers = map[string]string{}
	var stale batch
	swept := j.At > 0 // the second batch: stale nodes were deleted
	err := w.db.Update(ctx, func(tx store.Tx) error {
		stale = batch{}
		list, err := ledgerOf(tx, t.c.Identity.Enrolment)
		if err != nil {
			return err
		}
		for _, d := range list {
			if d.Channel != kindOf(j.Channel) {
				continue
			}
			state, reason := d.compare(read, w.now())
			switch {
			case state == foundNot && w.now().Sub(d.At) >= unreadWithin:
				ans.Markers[d.Unit] = "differs"
				ans.Missing = with(ans.Missing, d.Unit, reason)
			case state == foundNot, state == foundLater: // no matter of the other units
				ans.Later = with(ans.Later, d.Unit, reason)
			case state == foundNone && d.Removed:
				if err := ledger.Delete(tx, d.id()); err != nil {
					return err
				}
			case state == foundNone:
				ans.Missing = with(ans.Missing, d.Unit, reason)
			case state == foundSome:
				ans.Markers[d.Unit] = "differs"
				ans.Missing = with(ans.Missing, d.Unit, reason)
			default:
				ans.Markers[d.Unit] = d.Version
				if d.unread(read) {
					if ans.Unread == nil {
						ans.Unread = map[string]bool{}
					}
					ans.Unread[d.Unit] = true
				}
				if d.Removed || len(d.Stale) == 0 && d.Before == nil {
					continue
				}
				if swept || len(d.Stale) == 0 {
					d.Stale, d.Before = nil, nil
					if err := ledger.Put(tx, d); err != nil {
						return err
					}
					continue
				}
				for _, n := range d.Stale {
					stale.Commands = append(stale.Commands, del(n))
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if len(stale.Commands) > 0 && !swept && ans.Outcome == fleet.Done {
		return nil, &stale, nil
	}
	return ans, nil, nil
}

func with(m map[string]fleet.Reason, key string, r fleet.Reason) map[string]fleet.Reason {
	if r.Code == "" {
		return m
	}
	if m == nil {
		m = map[string]fleet.Reason{}
	}
	m[key] = r
	return m
}

// compare says how much of a delivery is there. A node that may not be read (405, 406, 425) counts as what the device acknowledged.
func (d *delivery) compare(read map[string]*command, now time.Time) (found, fleet.Reason) {
	switch {
	case d.SCEP != "":
		return d.compareSCEP(read, now)
	case d.MSI != nil:
		return d.compareMSI(read, now)
	}
	there, right, total := 0, 0, 0
	refused := why(codeOther)
	for _, c := range d.Checks {
		x := read[c.URI]
		if x == nil {
			return foundNot, why(codeNoAnswer)
		}
		switch {
		case x.Code == 404:
			total++
		case isUnreadable(x.Code):
			if d.Removed {
				continue
			}
			total, there, right = total+1, there+1, right+1
		case x.good():
			total, there = total+1, there+1
			if c.matches(x.Value) {
				right++
			} else if c.Kind == "pfx" && x.Value != nil {
				refused = why("windows.pfx-failed")
				refused.DeviceWords = "Win32 " + clip(*x.Value)
			}
		default:
			return foundNot, explain(x)
		}
	}
	switch {
	case total == 0 && d.Removed, there == 0 && total > 0:
		return foundNone, fleet.Reason{}
	case right == total:
		return foundAll, fleet.Reason{}
	}
	return foundSome, refused
}

// unread says whether part of a delivery cannot be read back, so that the device's word stands for it.
func (d *delivery) unread(read map[string]*command) bool {
	if d.Sent {
		return true
	}
	for _, c := range d.Checks {
		if x := read[c.URI]; x != nil && isUnreadable(x.Code) {
			return true
		}
	}
	return false
}

func isUnreadable(code int) bool { return code == 405 || code == 406 || code == 425 }

func (c check) matches(v *string) bool {
	if v == nil {
		return false
	}
	got := strings.TrimSpace(*v)
	switch c.Kind {
	case "b64":
		a, err := decodeBase64(got)
		b, err2 := base64.StdEncoding.DecodeString(c.Want)
		return err == nil && err2 == nil && bytes.Equal(a, b)
	case "thumbprint":
		return strings.EqualFold(squeeze(got), c.Want)
	case "xml":
		return holdsXML(c.Want, got)
	case "int", "pfx":
		a, err := strconv.Atoi(got)
		b, err2 := strconv.Atoi(c.Want)
		return err == nil && err2 == nil && a == b
	}
	return got == c.Want
}

// compareSCEP reads the state of a request for a certificate: 1 done, 2 under way, 16 failed, 32 unknown.
func (d *delivery) compareSCEP(read map[string]*command, now time.Time) (found, fleet.Reason) {
	x := read[d.SCEP+"/Status"]
	switch {
	case x == nil:
		return foundNot, why(codeNoAnswer)
	case x.Code == 404:
		return foundNone, fleet.Reason{}
	case !x.good():
		return foundNot, explain(x)
	case d.Removed:
		return foundSome, fleet.Reason{}
	}
	v := ""
	if x.Value != nil {
		v = *x.Value
	}
	switch v {
	case "1":
		return foundAll, fleet.Reason{}
	case "16":
		r := why(codeSCEPFailed)
		if e := read[d.SCEP+"/ErrorCode"]; e != nil && e.Value != nil {
			r.DeviceWords = hresult(*e.Value)
		}
		return foundSome, r
	}
	if now.Sub(d.At) < scepWithin {
		return foundLater, why(codeSCEPPending)
	}
	return foundSome, why(codeSCEPPending)
}

// hresult writes an error number as people look for it.
func hresult(v string) string {
	n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
	if err != nil {
		return clip(v)
	}
	return "0x" + strings.ToUpper(strconv.FormatUint(uint64(uint32(n)), 16))
}

// readCertificates finds the fingerprints of certificates that the PC names by thumbprint.
func (w *Windows) readCertificates(ctx context.Context, t *turn, j *job, ans *fleet.Answer) error {
	has := map[string]bool{}
	j.each(func(c *command) {
		if c.good() && c.Value != nil && *c.Value != "" {
			has[strings.ToUpper(strings.Join(strings.Fields(*c.Value), ""))] = true
		} else if c.Code >= 500 {
			ans.Outcome, ans.Reason = fleet.Failed, explain(c)
		}
	})
	ans.Certificates = []string{}
	if len(has) == 0 {
		return nil
	}
	return w.db.View(ctx, func(tx store.Tx) error {
		q := pki.CertificateQuery{Enrolment: string(t.c.Identity.Enrolment), Purpose: pki.Access, Limit: 200}
		for {
			page, err := w.pki.Certificates(tx, q)
			if err != nil {
				return err
			}
			for _, c := range page.Items {
				if has[thumbprint(c.DER)] {
					ans.Certificates = append(ans.Certificates, c.Fingerprint)
				}
			}
			if page.Next == "" {
				return nil
			}
			q.Cursor = page.Next
		}
	})
}

// explain says what a status code means, with the node in the device's words.
func explain(c *command) fleet.Reason {
	r := why(codeError)
	if known := statusCodes[c.Code]; known != "" {
		r = why(known)
	}
	r.DeviceWords = strconv.Itoa(c.Code) + " " + c.URI
	return r
}
