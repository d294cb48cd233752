package sim

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// enrolled is what Google keeps of one device of an enterprise. The phone itself keeps the rest.
type enrolled struct {
	e              *enterprise
	name           string
	phone          *Android
	policy         string
	state          string // ACTIVE or DISABLED, as wanted
	disabledReason dict
	token          *enrolmentToken
	at             time.Time
	previous       []string
	facts          dict // the last report
	operations     []*operation
	deleted        bool // by devices.delete: the record is gone, and the phone wipes itself when it hears of it
	gone           bool // the record is gone
}

// operation is a command on its way.
type operation struct {
	name      string
	command   dict
	created   time.Time
	expires   time.Time
	done      bool
	cancelled bool
}

func (o *operation) view() dict {
	meta := clone(o.command)
	meta["@type"] = "type.googleapis.com/google.android.devicemanagement.v1.Command"
	v := dict{"name": o.name, "metadata": meta}
	switch {
	case o.cancelled:
		v["done"], v["error"] = true, dict{"code": 1, "message": "The operation was cancelled."}
	case o.done:
		v["done"], v["response"] = true, dict{"@type": meta["@type"], "type": str(o.command, "type")}
	}
	return v
}

// view is the resource as devices.get shows it.
func (d *enrolled) view() dict {
	v := dict{}
	maps.Copy(v, d.facts)
	v["name"], v["state"], v["policyName"] = d.name, d.state, d.policy
	v["enrollmentTime"], v["enrollmentTokenName"] = stamp(d.at), d.token.name
	if s := str(d.token.fields, "additionalData"); s != "" {
		v["enrollmentTokenData"] = s
	}
	if d.disabledReason != nil && d.state == "DISABLED" {
		v["disabledReason"] = d.disabledReason
	}
	if len(d.previous) > 0 {
		v["previousDeviceNames"] = anyList(d.previous)
	}
	return v
}

func anyList(l []string) []any {
	out := make([]any, len(l))
	for i, s := range l {
		out[i] = s
	}
	return out
}

func (g *Google) deviceOf(e *enterprise, c *call) (*enrolled, *googleError) {
	name := e.name + "/devices/" + c.parts[1]
	if d := e.devices[name]; d != nil {
		return d, nil
	}
	return nil, notThere(name)
}

func (g *Google) getDevice(e *enterprise, c *call) (dict, *googleError) {
	d, ref := g.deviceOf(e, c)
	if ref != nil {
		return nil, ref
	}
	return d.view(), nil
}

func (g *Google) listDevices(e *enterprise, c *call) (dict, *googleError) {
	var all []dict
	for _, name := range e.order {
		if d := e.devices[name]; d != nil {
			all = append(all, d.view())
		}
	}
	return pageOf(c, "devices", all, 10, 100)
}

func (g *Google) patchDevice(e *enterprise, c *call) (dict, *googleError) {
	d, ref := g.deviceOf(e, c)
	if ref != nil {
		return nil, ref
	}
	mask := c.query.Get("updateMask")
	if mask == "" {
		return nil, invalid("An update_mask is needed.")
	}
	for k := range c.body {
		if !oneOf(k, "name", "state", "disabledReason", "policyName") {
			return nil, violations([]apiViolation{{"device." + snake(k), "Field device." + snake(k) + " is output only."}})
		}
	}
	before := d.view()
	for path := range strings.SplitSeq(mask, ",") {
		switch path {
		case "state":
			s := str(c.body, "state")
			if s != "ACTIVE" && s != "DISABLED" {
				return nil, invalid("state must be ACTIVE or DISABLED.")
			}
			d.state = s
		case "disabledReason":
			d.disabledReason, _ = c.body["disabledReason"].(dict)
		case "policyName":
			p := str(c.body, "policyName")
			if !strings.Contains(p, "/") {
				p = e.name + "/policies/" + p
			}
			if e.policies[p] == nil {
				return nil, notThere(p)
			}
			d.policy = p
		default:
			return nil, violations([]apiViolation{{"update_mask", "Invalid field mask path: " + path}})
		}
	}
	if g.cond.NotModified && same(before, d.view()) {
		return nil, &googleError{code: http.StatusNotModified, html: " "}
	}
	d.phone.nudge()
	return d.view(), nil
}

func (g *Google) deleteDevice(e *enterprise, c *call) (dict, *googleError) {
	d, ref := g.deviceOf(e, c)
	if ref != nil {
		return nil, ref
	}
	if len([]rune(c.query.Get("wipeReasonMessage"))) > 200 {
		return nil, invalid("wipe_reason_message is longer than 200 characters.")
	}
	g.forget(d)
	return dict{}, nil
}

// forget takes a record away and tells the phone to wipe itself. g.mu is held.
func (g *Google) forget(d *enrolled) {
	d.deleted, d.gone = true, true
	delete(d.e.devices, d.name)
	d.phone.nudge()
}

// paramsOf names the command that each parameter object belongs to.
var paramsOf = map[string]string{"wipeParams": "WIPE", "clearAppsDataParams": "CLEAR_APP_DATA", "startLostModeParams": "START_LOST_MODE", "stopLostModeParams": "STOP_LOST_MODE",
	"addEsimParams": "ADD_ESIM", "removeEsimParams": "REMOVE_ESIM", "requestDeviceInfoParams": "REQUEST_DEVICE_INFO"}

func (g *Google) issueCommand(e *enterprise, c *call) (dict, *googleError) {
	d, ref := g.deviceOf(e, c)
	if ref != nil {
		return nil, ref
	}
	cmd := clone(c.body)
	kind := str(cmd, "type")
	for p, owner := range paramsOf {
		if _, there := cmd[p]; !there {
			continue
		}
		if kind != "" && kind != owner {
			return nil, invalid("%s does not belong to the command %s.", snake(p), kind)
		}
		kind = owner
	}
	cmd["type"] = kind
	if ref := checkCommand(kind, cmd, str(d.facts, "ownership")); ref != nil {
		return nil, ref
	}
	life := 10 * time.Minute
	if s := str(cmd, "duration"); s != "" {
		if life, ref = durationOf(s); ref != nil {
			return nil, ref
		}
	} else {
		cmd["duration"] = "600s"
	}
	o := &operation{name: d.name + "/operations/" + g.name("op"), command: cmd, created: g.now(), expires: g.now().Add(life)}
	cmd["createTime"] = stamp(o.created)
	d.operations = append(d.operations, o)
	d.phone.nudge()
	return o.view(), nil
}

func checkCommand(kind string, cmd dict, ownership string) *googleError {
	message := func(params, key string) *googleError {
		p, _ := cmd[params].(dict)
		m, _ := p[key].(dict)
		return checkMessage("command."+snake(params)+"."+snake(key), m, map[bool]int{true: 200, false: 4096}[key == "wipeReason"])
	}
	switch kind {
	case "", "COMMAND_TYPE_UNSPECIFIED":
		return invalid("The command type is not specified.")
	case "WIPE":
		if _, there := cmd["wipeParams"].(dict); !there {
			return invalid("wipe_params must be set for WIPE.")
		}
		return message("wipeParams", "wipeReason")
	case "CLEAR_APP_DATA":
		p, _ := cmd["clearAppsDataParams"].(dict)
		if len(stringList(p, "packageNames")) == 0 {
			return invalid("package_names must not be empty.")
		}
	case "START_LOST_MODE":
		p, _ := cmd["startLostModeParams"].(dict)
		if p["lostMessage"] == nil && p["lostPhoneNumber"] == nil && p["lostStreetAddress"] == nil && p["lostEmailAddress"] == nil {
			return invalid("start_lost_mode_params needs one field besides the organisation.")
		}
	case "ADD_ESIM":
		p, _ := cmd["addEsimParams"].(dict)
		if str(p, "activationState") == "ACTIVATED" && ownership == "PERSONALLY_OWNED" {
			return invalid("An eSIM on a personally owned device is activated by its user.")
		}
	}
	return nil
}

func (g *Google) operationOf(e *enterprise, c *call) (*operation, *googleError) {
	d, ref := g.deviceOf(e, c)
	if ref != nil {
		return nil, ref
	}
	name := d.name + "/operations/" + c.parts[2]
	at := slices.IndexFunc(d.operations, func(o *operation) bool { return o.name == name })
	if at < 0 {
		return nil, notThere(name)
	}
	return d.operations[at], nil
}

func (g *Google) getOperation(e *enterprise, c *call) (dict, *googleError) {
	o, ref := g.operationOf(e, c)
	if ref != nil {
		return nil, ref
	}
	return o.view(), nil
}

func (g *Google) listOperations(e *enterprise, c *call) (dict, *googleError) {
	d, ref := g.deviceOf(e, c)
	if ref != nil {
		return nil, ref
	}
	var all []dict
	for _, o := range slices.Backward(d.operations) {
		all = append(all, o.view())
	}
	return pageOf(c, "operations", all, 10, 100)
}

func (g *Google) cancelOperation(e *enterprise, c *call) (dict, *googleError) {
	o, ref := g.operationOf(e, c)
	if ref != nil {
		return nil, ref
	}
	if !o.done {
		o.done, o.cancelled = true, true
		g.publish(e, "COMMAND", o.view())
	}
	return dict{}, nil
}

// The part that phones talk to. It is Google's own protocol, which is none of a server's business.

// enrol makes a phone known by its token, and returns its record or why the phone's set-up says no.
func (g *Google) enrol(p *Android, value string, factoryNew bool) (*enrolled, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var e *enterprise
	var t *enrolmentToken
	total := 0
	for _, one := range g.enterprises {
		total += len(one.devices)
		for _, tok := range one.tokens {
			if tok.value == value && !one.gone {
				e, t = one, tok
			}
		}
	}
	switch {
	case t == nil:
		return nil, &AndroidError{Text: "Can't set up device: the code is not known."}
	case !t.alive(g.now()):
		return nil, &AndroidError{Text: "Can't set up device: the code has expired or was used before."}
	case total >= g.cond.DeviceQuota:
		return nil, &AndroidError{Text: "Can't set up device: contact your IT admin for help."} // Google says no more when the quota is used up
	}
	usage := str(t.fields, "allowPersonalUsage")
	if !factoryNew && (usage == usageDisallowed || usage == usageUserless) {
		return nil, &AndroidError{Text: "This code needs a device that has been reset to factory settings."}
	}
	t.used = t.oneTime
	d := &enrolled{e: e, name: e.name + "/devices/" + g.name("3"), phone: p, policy: t.policy, state: "ACTIVE", token: t, at: g.now()}
	serial := p.hw.serial
	d.previous = slices.Clone(e.hardware[serial])
	e.hardware[serial] = append(e.hardware[serial], d.name)
	e.devices[d.name] = d
	e.order = append(e.order, d.name)
	return d, nil
}

// enrolledNow publishes the enrolment, with the first facts.
func (g *Google) enrolledNow(d *enrolled, facts dict) {
	g.mu.Lock()
	defer g.mu.Unlock()
	facts["lastStatusReportTime"] = stamp(g.now())
	d.facts = facts
	g.publish(d.e, "ENROLLMENT", d.view())
}

// phoneOrders is what a phone gets when it calls in.
type phoneOrders struct {
	deleted  bool
	commands []*operation
	disabled bool
	reason   string
	policy   dict // nil: there is none
	name     string
	version  int64
	play     map[string]playApp
	now      time.Time
}

// callIn answers a phone.
func (g *Google) callIn(d *enrolled) phoneOrders {
	g.mu.Lock()
	defer g.mu.Unlock()
	o := phoneOrders{deleted: d.deleted, now: g.now(), name: d.policy, play: maps.Clone(g.play)}
	if d.deleted {
		return o
	}
	g.sweepPolicies(d.e)
	for _, op := range d.operations {
		if !op.done && g.now().Before(op.expires) {
			o.commands = append(o.commands, op)
		}
	}
	o.disabled = d.state == "DISABLED"
	o.reason = str(d.disabledReason, "defaultMessage")
	if p := d.e.policies[d.policy]; p != nil {
		o.policy, o.version = clone(p.fields), p.version
	}
	return o
}

// finish stores what a command came to and tells the server. A command that was cancelled meanwhile stays cancelled.
func (g *Google) finish(d *enrolled, op *operation, errorCode string, more dict) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if op.done {
		return
	}
	op.done = true
	if errorCode != "" {
		op.command["errorCode"] = errorCode
	}
	maps.Copy(op.command, more)
	g.publish(d.e, "COMMAND", op.view())
}

// report takes a status report.
func (g *Google) report(d *enrolled, facts dict) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if d.gone {
		return
	}
	facts["lastStatusReportTime"] = stamp(g.now())
	d.facts = facts
	v := d.view()
	if g.cond.Oddities {
		v["fieldOfTomorrow"] = "WORD_OF_TOMORROW"
	}
	g.publish(d.e, "STATUS_REPORT", v)
}

// usageLogs takes what a phone logged.
func (g *Google) usageLogs(d *enrolled, events []any) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.publish(d.e, "USAGE_LOGS", dict{"device": d.name, "retrievalTime": stamp(g.now()), "usageLogEvents": events})
}

// removed takes the confirmation that a phone has left management: the record goes.
func (g *Google) removed(d *enrolled) {
	g.mu.Lock()
	defer g.mu.Unlock()
	v := d.view()
	v["appliedState"] = "DELETED"
	v["lastStatusReportTime"] = stamp(g.now())
	d.gone = true
	delete(d.e.devices, d.name)
	g.publish(d.e, "STATUS_REPORT", v)
}

// AndroidError is why a phone's set-up gave up: what its screen shows.
type AndroidError struct{ Text string }

func (e *AndroidError) Error() string { return fmt.Sprintf("android set-up: %s", e.Text) }
