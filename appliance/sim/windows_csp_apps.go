package sim

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"time"
)

// The stages of an MSI job.
const (
	msiInitialised    = "10"
	msiDownloadFailed = "30"
	msiFailed         = "60"
	msiInstalled      = "70"
)

// installMSI takes a job and runs it after the session.
func (r *dmRun) installMSI(l pcLoc, i syncItem) int {
	job, err := parseXML([]byte(i.data))
	account, _ := l.account()
	id := account.segs[len(account.segs)-1]
	link := job.at("Product", "Download", "ContentURLList", "ContentURL").value()
	hash := job.at("Product", "Validation", "FileHash").value()
	if err != nil || job.name != "MsiInstallJob" || !strings.EqualFold(job.attr("id"), id) || link == "" || len(hash) != 64 {
		return 500
	}
	at := account.uri()
	r.d.tree.put(at+"/Status", msiInitialised)
	d, m := r.d, r.s.m
	d.later = append(d.later, func(ctx context.Context) { d.runMSI(ctx, m, at, link, hash, job.kid("Product").attr("Version")) })
	return 202
}

// runMSI downloads the package without certificate or cookie, checks it and installs it.
// The next session tells the server that the job has ended.
func (d *Windows) runMSI(ctx context.Context, m *pcManagement, at, link, hash, version string) {
	status := msiInstalled
	b, err := d.download(ctx, link)
	sum := sha256.Sum256(b)
	switch {
	case err != nil:
		d.log.Info("a package could not be downloaded", "error", err)
		status = msiDownloadFailed
	case !strings.EqualFold(hex.EncodeToString(sum[:]), hash):
		status = msiFailed
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mdm != m {
		return
	}
	code := "0"
	if status != msiInstalled {
		code = "-2147024883" // 0x8007000D
	}
	d.tree.put(at+"/Status", status)
	d.tree.put(at+"/LastError", code)
	if status == msiInstalled {
		d.tree.put(at+"/Version", version)
		d.tree.put(at+"/InstallDate", time.Now().Format("01/02/2006"))
	}
	d.alerts = append(d.alerts, pcAlert{code: "1226", kind: "Reversed-Domain-Name:com.microsoft.mdm.win32csp_install", format: "int", source: at, data: code})
	d.nudge()
}

// download fetches a file.
func (d *Windows) download(ctx context.Context, link string) ([]byte, error) {
	client := &http.Client{Transport: newPCTransport(d.roots(), nil, nil, d.complain), Timeout: timeout}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, withoutQuery(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<30))
	if err == nil && resp.StatusCode != http.StatusOK {
		return nil, &StatusError{Code: resp.StatusCode, Body: beginning(b)}
	}
	return b, err
}
