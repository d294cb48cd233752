package sim

import "context"

// Disconnect is the person leaving management in Settings: a session tells the server,
// best effort, and everything that came with management goes.
func (d *Windows) Disconnect(ctx context.Context) error {
	if err := d.begin(ctx); err != nil {
		return err
	}
	defer d.end()
	m := d.managed()
	if m == nil {
		return ErrUnmanaged
	}
	d.mu.Lock()
	forbidden := d.tree.value("./Device/Vendor/MSFT/Policy/Config/Experience/AllowManualMDMUnenrollment") == "0"
	silent := d.mood.SilentUnenrol || d.offline
	d.mu.Unlock()
	if forbidden {
		return d.failed(gaveUp("disconnect", 0x80180026, "the policy AllowManualMDMUnenrollment forbids it"))
	}
	if !silent {
		s := d.newSession(m)
		s.alerts = append(s.alerts, pcAlert{code: "1226", kind: unenrolAlert, format: "int", data: "1"})
		if err := s.tell(ctx); err != nil {
			d.log.Info("the unenrolment alert did not arrive", "error", err)
		}
	}
	d.leave(m, "the person disconnected")
	return nil
}

// tell sends a session's first message and does not stay for commands.
func (s *dmSession) tell(ctx context.Context) error {
	for range 2 { // once more when the login is refused
		s.message++
		w := &syncWriter{}
		w.header(s.id, decimal(s.message), s.m.addr, s.d.hw.deviceID, s.cred(), s.d.o.MaxMsgSize)
		sent := s.first(w)
		reply, err := s.exchange(ctx, w.finish())
		if err != nil {
			return err
		}
		if again, err := s.read(reply, sent); err != nil || !again {
			return err
		}
	}
	return nil
}

// SignIn is somebody signing in to the PC or out of it: "user" is the enrolled person,
// "others" somebody else, "none" nobody. Where the server wants a session at login, Run
// opens one.
func (d *Windows) SignIn(who string) {
	d.mu.Lock()
	was := d.login
	d.login = who
	polls := d.mdm != nil && d.tree.value(d.tree.own()+"Poll/PollOnLogin") == "true"
	d.mu.Unlock()
	if was != who && who == "user" && polls {
		d.nudge()
	}
}

// SetOffline takes the PC off the network, or puts it back.
func (d *Windows) SetOffline(off bool) {
	d.mu.Lock()
	d.offline = off
	d.mu.Unlock()
	if !off {
		d.nudge()
	}
}
