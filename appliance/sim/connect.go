package sim

import (
	"context"
	"errors"
	"fmt"
)

// answer is what a command came to.
type answer struct {
	status string
	keys   dict
	chain  *Refusal
	then   func(context.Context) (gone bool) // runs after the answer has been sent; gone ends the connection
}

func acknowledged(keys dict) answer { return answer{status: "Acknowledged", keys: keys} }

func failedWith(err error) answer { return answer{status: "Error", chain: asRefusal(err)} }

// Connect makes one connection run on each channel: Idle, then each command and its
// answer, until the server has nothing more. It returns ErrOffline without trying
// when the device has no network, ErrUnmanaged when the device is not managed or has
// been sent away, and a *StatusError when the server could not answer. Management that
// ends by an obeyed command is no error.
func (d *Apple) Connect(ctx context.Context) error {
	if err := d.begin(ctx); err != nil {
		return err
	}
	defer d.end()
	d.mu.Lock()
	m, off := d.mdm, d.offline || d.locked && d.hw.kind == Mac
	if m != nil && !off {
		d.seen.connections++
	}
	d.mu.Unlock()
	switch {
	case off:
		return d.failed(ErrOffline)
	case m == nil:
		return d.failed(ErrUnmanaged)
	}
	err := d.payToken(ctx, m)
	if err == nil {
		err = d.converse(ctx, m.device)
	}
	if m := d.managed(); err == nil && m != nil && m.user != nil {
		err = d.converse(ctx, m.user)
	}
	return d.failed(err)
}

// maxRun bounds the commands of one connection run: a server that goes on longer loops.
const maxRun = 1000

// maxDeclined bounds how often a command is put off in one run before the device hangs up.
const maxDeclined = 3

// converse is one connection run on one channel.
func (d *Apple) converse(ctx context.Context, ch *channel) error {
	msg := d.identify(ch, dict{"Status": "Idle"}, nil)
	declined := map[string]int{}        // how often each was put off in this run
	var then func(context.Context) bool // of the command answered last
	for range maxRun {
		m := d.managed() // a command may renew or end it
		if m == nil {
			return nil
		}
		body, err := d.send(ctx, m, m.serverURL, typeCommand, msg)
		if errors.Is(err, ErrUnmanaged) {
			return err
		}
		// What was acknowledged happens even when the acknowledgement did not arrive.
		if then != nil && then(ctx) {
			return err
		}
		if err != nil {
			return err
		}
		if len(body) == 0 {
			return nil
		}
		order, err := parseDict(body)
		if err != nil {
			d.complain("a command could not be read: %v", err)
			return fmt.Errorf("reading a command: %w", err)
		}
		uuid, command := str(order, "CommandUUID"), order["Command"]
		if uuid == "" {
			d.complain("a command had no CommandUUID")
			return errors.New("a command had no CommandUUID")
		}
		c, _ := command.(dict)
		kind := str(c, "RequestType")
		var a answer
		if kind == "" {
			a = answer{status: "CommandFormatError", chain: refuse(domainMDM, 12008, "The command has no RequestType.")}
		} else if declined[uuid] > 0 {
			d.complain("%s was offered again in the same run after NotNow", kind)
			if declined[uuid] >= maxDeclined {
				return errors.New("the same command is offered over and over after NotNow")
			}
			a = answer{status: "NotNow"}
		} else {
			a = d.obey(ctx, m, ch, kind, c)
		}
		if a.status == "NotNow" {
			declined[uuid]++
		}
		lost := d.losesAnswer(a)
		d.remember(ch, uuid, kind, a, lost)
		if lost {
			msg = d.identify(ch, dict{"Status": "Idle"}, nil)
		} else {
			msg = d.identify(ch, dict{"Status": a.status, "CommandUUID": uuid}, a.keys)
			if a.chain != nil {
				msg["ErrorChain"] = a.chain.plist()
			}
		}
		then = a.then
	}
	d.complain("a connection run did not end after %d commands", maxRun)
	return errors.New("the connection run does not end")
}

// losesAnswer reports whether the mood swallows this acknowledgement. It never does
// for what ends the connection: those have nobody left to repeat them.
func (d *Apple) losesAnswer(a answer) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.mood.LosesAnswers <= 0 || a.then != nil || a.status == "NotNow" {
		return false
	}
	d.mood.LosesAnswers--
	return true
}

// remember notes a command and its answer.
func (d *Apple) remember(ch *channel, uuid, kind string, a answer, lost bool) {
	c := Command{UUID: uuid, Type: kind, Status: a.status, User: ch.user, Lost: lost}
	if a.chain != nil {
		c.Error = a.chain.Error()
	}
	d.mu.Lock()
	d.seen.commands = keepLast(d.seen.commands, c)
	if a.chain != nil {
		d.seen.lastError = c.Error
	}
	d.mu.Unlock()
	d.log.Debug("command", "type", kind, "status", a.status, "error", c.Error)
}
