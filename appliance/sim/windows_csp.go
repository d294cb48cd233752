package sim

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// special answers reads of nodes that are computed.
func (r *dmRun) special(l pcLoc) (pcNode, bool) {
	t, below := r.d.tree, l.below()
	last := l.segs[len(l.segs)-1]
	switch l.csp() {
	case "Policy":
		if len(below) == 3 && below[0] == "Result" {
			own := pcLoc{segs: slices.Clone(l.segs)}
			own.segs[4] = "Config"
			n, there := t.nodes[own.key()]
			return n, there
		}
	case "ActiveSync":
		if n, there := t.get(l); there && last == "Password" {
			n.data = "********"
			return n, true
		}
	case "WiFi":
		if n, there := t.get(l); there && last == "WlanXml" {
			n.data = asWindowsKeeps(n.data)
			return n, true
		}
	case "EnterpriseModernAppManagement":
		if last == "AppInventoryResults" {
			return pcNode{format: "xml", data: t.inventory()}, true
		}
	case "DevDetail":
		if last == "LocalTime" {
			return pcNode{format: "chr", data: time.Now().Format("2006-01-02T15:04:05.0000000Z")}, true
		}
	}
	return pcNode{}, false
}

// addTwice answers an Add on what is there already. ActiveSync loses the account by it.
func (r *dmRun) addTwice(l pcLoc) int {
	if account, ok := l.account(); ok && l.csp() == "ActiveSync" {
		r.note("an Add on an existing ActiveSync account deletes it")
		if r.atomic > 0 {
			r.undone[account.key()] = true
		} else {
			r.d.tree.remove(account)
		}
	}
	return 418
}

// fixed reports whether a leaf cannot change once it is there.
func (r *dmRun) fixed(l pcLoc) bool {
	last := l.segs[len(l.segs)-1]
	switch l.csp() {
	case "EMAIL2":
		return last == "SERVICENAME" || last == "SERVICETYPE"
	case "ActiveSync":
		return last == "AccountType" || last == "UserName"
	}
	return false
}

// accept makes the checks of a provider on a value that is about to be set.
func (r *dmRun) accept(l pcLoc, data string, exists bool) int {
	switch l.csp() {
	case "EMAIL2":
		return r.acceptMail(l, data)
	case "ActiveSync":
		return r.acceptExchange(l, data)
	case "WiFi":
		return r.acceptWiFi(l, data)
	case "VPNv2":
		return r.acceptVPN(l, data)
	case "RootCATrustedCertificates", "CertificateStore":
		return r.acceptCertificate(l, data)
	case "ClientCertificateInstall":
		return r.acceptIdentity(l, data)
	case "Policy":
		return r.acceptPolicy(l, data)
	case "DMClient":
		return r.acceptClient(l, data)
	case "SyncML":
		return r.acceptAccount(l, data)
	case "Reboot":
		if data != "" {
			if _, err := time.Parse("2006-01-02T15:04:05", strings.TrimSuffix(data, "Z")); err != nil {
				return 500
			}
		}
	case "DevDetail":
		if l.segs[len(l.segs)-1] == "DNSComputerName" && (data == "" || len(data) > 63 && !strings.Contains(data, "%")) {
			return 500
		}
	}
	return 200
}

// acceptClient keeps DMClient's settings; a package family name opens a push channel.
func (r *dmRun) acceptClient(l pcLoc, data string) int {
	t := r.d.tree
	own := t.own()
	switch last := l.segs[len(l.segs)-1]; last {
	case "PFN":
		t.remove(mustLocate(own + "Push/ChannelURI"))
		if name, publisher, ok := strings.Cut(data, "_"); !ok || name == "" || len(publisher) != 13 {
			t.put(own+"Push/Status", "1")
			return 200
		}
		channel := r.d.o.Channel
		if channel == "" {
			channel = "https://db5p.notify.windows.com/?token=" + url.QueryEscape(strings.ToLower(newUUID()))
		}
		t.put(own+"Push/ChannelURI", channel)
		t.put(own+"Push/Status", "0")
	case "ManagementServiceAddress", "ManagementServerAddressList":
		u, err := url.Parse(strings.Trim(strings.Split(data, "><")[0], "<>"))
		if err != nil || u.Scheme != "https" {
			return 500
		}
		r.s.m.addr = u.String()
	case "SyncApplicationVersion":
		if v, err := strconv.ParseFloat(data, 64); err != nil || v < 1 || v > 5 {
			return 500
		}
	case "IntervalForFirstSetOfRetries", "IntervalForSecondSetOfRetries", "IntervalForRemainingScheduledRetries", "NumberOfFirstRetries", "NumberOfSecondRetries", "NumberOfRemainingScheduledRetries":
		if n, err := strconv.Atoi(data); err != nil || n < 0 {
			return 500
		}
		r.d.nudge()
	}
	return 200
}

// mustLocate is locate for addresses written here.
func mustLocate(uri string) pcLoc {
	loc, _ := locate(uri)
	return loc
}

// acceptAccount takes changes of the account at ./SyncML/DMAcc.
func (r *dmRun) acceptAccount(l pcLoc, data string) int {
	m := r.s.m
	last := l.segs[len(l.segs)-1]
	client := slices.Contains(l.segs, "CLCRED")
	switch {
	case last == "InitiateSession":
		r.d.again = true
	case last == "AAuthName" && client:
		m.deviceAuth.name = data
	case last == "AAuthSecret" && client:
		m.deviceAuth.secret = data
	case last == "Addr":
		if u, err := url.Parse(data); err != nil || u.Scheme != "https" {
			return 500
		}
		m.addr = data
	}
	return 200
}

// acceptPolicy holds a policy's value against what the engine takes.
func (r *dmRun) acceptPolicy(l pcLoc, data string) int {
	below := l.below()
	if len(below) == 3 && below[0] == "Config" && strings.Contains(below[1], "~") {
		// ADMX-backed settings of an ingested file: <App>~Policy~<category>.
		app, _, _ := strings.Cut(below[1], "~")
		ingested, ok := mustLocate("./Device/Vendor/MSFT/Policy/ConfigOperations/ADMXInstall").child(app)
		if !ok || !r.d.tree.exists(ingested) {
			return 404
		}
		if !strings.HasPrefix(strings.TrimSpace(data), "<enabled/>") && !strings.HasPrefix(strings.TrimSpace(data), "<disabled/>") {
			return 500
		}
	}
	if len(below) == 5 && below[0] == "ConfigOperations" && below[3] != "Properties" {
		if root, err := parseXML([]byte(data)); err != nil || root.name != "policyDefinitions" {
			return 500
		}
	}
	if len(below) == 3 && below[1] == "DeviceLock" {
		if r.atomic == 0 {
			r.note("a DeviceLock rule outside an Atomic: " + below[2])
		}
		enabled := r.d.tree.nodes[keyOf(append(slices.Clone(l.segs[:6]), "DevicePasswordEnabled"))].data
		classic := slices.Contains([]string{"PasswordComplexity", "MinimumPasswordLength", "PasswordHistorySize", "MaximumPasswordAge", "MinimumPasswordAge", "AccountLockoutPolicy",
			"AllowAdministratorLockout", "RelaxMinimumPasswordLengthLimits", "ClearTextPassword", "MinimumPasswordLengthAudit"}, below[2])
		if below[2] != "DevicePasswordEnabled" && !classic && enabled != "0" {
			r.note("the DeviceLock rule " + below[2] + " has no effect: DevicePasswordEnabled is not 0")
		}
		if below[2] == "MinDevicePasswordLength" || below[2] == "MinDevicePasswordComplexCharacters" || below[2] == "AlphanumericDevicePasswordRequired" {
			r.d.seen.mustChangePassword = true
		}
	}
	return 200
}

// removing undoes what a node's existence did elsewhere.
func (r *dmRun) removing(l pcLoc) {
	account, ok := l.account()
	if !ok {
		return
	}
	switch l.csp() {
	case "RootCATrustedCertificates":
		if below := account.below(); len(below) == 2 && below[0] == "Root" {
			r.d.tree.remove(mustLocate("./Device/Vendor/MSFT/CertificateStore/ROOT/System/" + below[1]))
		}
	case "ClientCertificateInstall":
		if l.key() == account.key() {
			delete(r.d.tree.ids, account.key())
		}
	}
}

// settle completes what a command or Atomic changed; -1 means that all is well.
func (r *dmRun) settle() int {
	for key, account := range r.touched {
		if !r.d.tree.exists(account) {
			continue
		}
		ok := true
		switch account.csp() {
		case "EMAIL2":
			ok = r.wholeMail(account)
		case "ActiveSync":
			ok = r.wholeExchange(account)
		case "RootCATrustedCertificates":
			r.trusts(account)
		case "ClientCertificateInstall":
			r.installPFX(account)
		}
		if !ok {
			r.dropKey(key)
			return 0
		}
	}
	return -1
}

// exec carries out an Exec.
func (r *dmRun) exec(l pcLoc, i syncItem) int {
	d, last := r.d, l.segs[len(l.segs)-1]
	switch l.csp() {
	case "RemoteWipe":
		if d.o.NoWinRE {
			return 500
		}
		if last == "doAutomaticRedeployment" {
			return 500 // only for Entra-joined PCs
		}
		d.later = append(d.later, func(context.Context) { d.wipe(r.s.m, last) })
		return 200
	case "Reboot":
		d.later = append(d.later, func(context.Context) { d.restart() })
		return 200
	case "RemoteLock":
		return 405 // no PIN on a PC
	case "DMClient":
		if last != "Unenroll" {
			return 406
		}
		if !strings.EqualFold(strings.TrimSpace(i.data), d.tree.provider) {
			return 500
		}
		r.leaves = true
		return 200
	case "CertificateStore":
		d.later = append(d.later, func(ctx context.Context) { d.renewNow(ctx, r.s.m) })
		d.tree.renewed("1", "0", time.Now())
		return 200
	case "ClientCertificateInstall":
		return r.enrolSCEP(l)
	case "EnterpriseDesktopAppManagement":
		return r.installMSI(l, i)
	}
	return 406
}

// renewNow renews the management certificate because the server said so.
func (d *Windows) renewNow(ctx context.Context, m *pcManagement) {
	if d.managed() == m {
		_ = d.renewAndNote(ctx, m) // its result shows in the tree and in State
	}
}

// restart is the PC going down and up again; the session at login follows.
func (d *Windows) restart() {
	d.mu.Lock()
	d.seen.restarts++
	d.mu.Unlock()
	d.nudge()
}

// wipe resets the PC.
func (d *Windows) wipe(m *pcManagement, how string) {
	if strings.HasSuffix(how, "PersistUserData") {
		d.mu.Lock()
		fresh := newPCTree(d.hw)
		for key, n := range d.tree.nodes {
			if p := (pcLoc{segs: n.segs}).csp(); p == "DMClient" || p == "SyncML" || p == "CertificateStore" {
				fresh.nodes[key] = n
			}
		}
		fresh.provider, fresh.uid = d.tree.provider, d.tree.uid
		d.tree = fresh
		d.seen.resets = append(d.seen.resets, how)
		d.mu.Unlock()
		d.restart()
		return
	}
	d.leave(m, "the server wiped the PC")
	d.mu.Lock()
	d.tree = newPCTree(d.hw)
	d.seen.wiped = how
	d.seen.resets = append(d.seen.resets, how)
	d.mu.Unlock()
}
