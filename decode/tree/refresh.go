package tree

import "time"

// A Server is the gocryptfs that answers at CTLSOCK.
type Server interface {
	// Trust tells it who has mounted the file system that MOUNT lies in.
	Trust(uid uint32)
	// Peer returns the number of its process, if that is known.
	Peer() (pid int, ok bool)
}

// begin starts to look for the view.
func (t *Tree) begin() {
	mount, plain := t.mount, t.plainFlag
	t.started = time.Now()
	t.search = spawn(func() found { return findView(mount, plain) })
}

// adopt takes over what a search has found, after at most the given wait.
func (t *Tree) adopt(wait time.Duration) {
	if t.isHung() {
		return // that look still uses the view
	}
	f, ok := await(t.search, wait)
	if !ok {
		return
	}
	t.search, t.problem = nil, f.problem
	if t.server != nil {
		t.server.Trust(uint32(f.owner))
	}
	if f.problem != nil && f.view.sub == "" && t.view.sub != "" {
		return // MOUNT is gone; its path is still the same
	}
	if f.view != t.view {
		t.view, t.known, t.asked = f.view, false, time.Time{}
		t.forget()
	}
}

// forget drops what was learned of files.
func (t *Tree) forget() {
	t.listings, t.listed = map[string]*listing{}, 0
	t.take().close()
}

// Check calls warn with what is wrong and what to do about it, if the view or its plain
// directory was not found. If a root has changed a moment ago, it looks for them again, for
// up to two seconds: the kernel may not know the change yet.
func (t *Tree) Check(warn func(what, hint string)) {
	p := t.problem
	for late := time.Now().Add(entryTimeout); p != nil && p.passing && time.Now().Before(late); p = t.problem {
		time.Sleep(clockStep)
		t.begin()
		t.adopt(t.timeout)
	}
	if p == nil && t.isElsewhere() {
		p = &problem{what: "gocryptfs runs in another mount namespace, where paths mean something else",
			hint: "name the plain directory, as it is seen here, with -plain" + unread}
	}
	if p != nil {
		warn(p.what, p.hint)
	}
}

// refreshedView returns the view. It has what is not known of it looked for again, in the
// background and not more often than every second.
func (t *Tree) refreshedView() view {
	switch {
	case t.search != nil:
		t.adopt(0)
	case !t.view.isKnown() && time.Since(t.started) > lookAgain:
		t.begin()
	}
	return t.view
}

// ready reports whether both directories are known.
func (t *Tree) ready() bool { return t.refreshedView().isKnown() && !t.isElsewhere() }

// isElsewhere reports whether paths of the mount table mean something else to gocryptfs. It
// looks again when another process answers.
func (t *Tree) isElsewhere() bool {
	if t.server == nil {
		return false
	}
	if pid, ok := t.server.Peer(); pid != t.peer {
		t.peer, t.elsewhere = pid, ok && livesElsewhere(pid)
	}
	return t.elsewhere && t.plainFlag == ""
}

// prove returns the result of f, which looks at files. ok is false if f says so or takes longer
// than the timeout, if another look still hangs, or if one of the roots is not what was found,
// before or after it: then another file system is mounted there. The view is looked for
// again, and then all that was learned is forgotten.
func prove[A any](t *Tree, f func() (A, bool)) (a A, ok bool) {
	if !t.busy.TryLock() {
		return a, false
	}
	type proof struct {
		a        A
		ok, lost bool
	}
	p, _ := await(spawn(func() (p proof) {
		defer t.busy.Unlock()
		if p.lost = t.view.identify() != t.view.ids; !p.lost {
			p.a, p.ok = f()
			p.lost = t.view.identify() != t.view.ids
		}
		return p
	}), t.timeout)
	if p.lost {
		t.view.ids = [2]identity{}
		return a, false
	}
	return p.a, p.ok
}
