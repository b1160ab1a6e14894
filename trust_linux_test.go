package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
	"gocryptfs-rsync-pretty/decode/escape"
)

// Nothing wrong is shown, whatever happens to the files behind the names: they are
// renamed, deleted and replaced, the plain directory hangs, and the mount table lies.

// trustMount makes files, given as for create, and mounts them in reverse mode.
func trustMount(t *testing.T, plain string, files map[string]string, opts ...string) *mount {
	t.Helper()
	for path, state := range files {
		create(t, plain, path, state)
	}
	return mountReverse(t, servers(t)[0], plain, filepath.Join(shortDir(t), "view"), opts...)
}

// wantShown gives the filter a line, and compares what it makes of it.
func wantShown(t *testing.T, when, line, want string, args ...string) {
	t.Helper()
	if got, _ := pretty(t, args, []byte(line)); got != want {
		t.Errorf("%s: %q is shown as %q, want %q", when, line, got, want)
	}
}

// TestTrustBytes shows a name that is not UTF-8 with its exact bytes or not at all: not
// with those of another one that looks the same in JSON, once it is gone.
func TestTrustBytes(t *testing.T) {
	const ff, fe, literal = "bad\xff", "bad\xfe", "bad\ufffd"
	tests := map[string]struct {
		change func(dir string) error
		shown  map[string]string // after it; what is not in here stays encrypted
	}{
		"there":   {func(string) error { return nil }, map[string]string{ff: `bad\#377`}},
		"deleted": {func(dir string) error { return os.Remove(dir + ff) }, nil},
		"renamed": {func(dir string) error { return os.Rename(dir+ff, dir+fe) }, map[string]string{fe: `bad\#376`}},
		"beside another": {func(dir string) error { return os.WriteFile(dir+fe, nil, 0o644) },
			map[string]string{ff: `bad\#377`, fe: `bad\#376`}},
		"beside a literal U+FFFD": {func(dir string) error { return os.WriteFile(dir+literal, nil, 0o644) },
			map[string]string{ff: `bad\#377`, literal: "bad\ufffd"}},
		"replaced by a literal U+FFFD": {func(dir string) error { return os.Rename(dir+ff, dir+literal) },
			map[string]string{literal: "bad\ufffd"}},
		"replaced by another file": {func(dir string) error {
			return errors.Join(os.WriteFile(dir+"new", nil, 0o644), os.Rename(dir+"new", dir+fe), os.Remove(dir+ff))
		}, map[string]string{fe: `bad\#376`}},
	}
	m := trustMount(t, filepath.Join(shortDir(t), "plain"), nil)
	wrong := shortDir(t)
	ciphers := map[string]string{}
	for dir := range tests {
		create(t, m.Plain, dir+"/"+ff, "file 1")
		create(t, wrong, dir+"/"+fe, "file 1")
		ciphers[dir] = m.cipherOf(t, dir+"/"+ff)
	}
	indexes := shortDir(t)
	early, late := filepath.Join(indexes, "early"), filepath.Join(indexes, "late")
	settle()
	for dir, tt := range tests {
		wantShown(t, "before", ciphers[dir], dir+`/bad\#377`, "-map", early, m.Sock, m.Dir)
		if err := tt.change(filepath.Join(m.Plain, dir) + "/"); err != nil {
			t.Fatal(err)
		}
	}
	// Now, with what the kernel remembers of the view, and later.
	for _, when := range []string{"at once", "later"} {
		for dir, tt := range tests {
			shown, _ := pretty(t, []string{"-map", late, m.Sock, m.Dir}, []byte(ciphers[dir]))
			encrypted := dir + "/" + filepath.Base(ciphers[dir])
			if shown != encrypted && (shown != dir+"/"+tt.shown[ff] || tt.shown[ff] == "") {
				t.Errorf("%s, %s: shown as %q", dir, when, shown)
			}
		}
		settle()
	}
	for dir, tt := range tests {
		for name, want := range tt.shown {
			wantShown(t, "at the end", m.cipherOf(t, dir+"/"+name), dir+"/"+want, "-map", late, m.Sock, m.Dir)
		}
		if tt.shown[ff] == "" && strings.Contains(read(t, late), ciphers[dir]) {
			t.Errorf("%s: the index has %q", dir, read(t, late))
		}
		// What was known is known for ever.
		wantShown(t, "from the index", ciphers[dir], dir+`/bad\#377`, "-map", early, m.Sock, m.Dir)

		var out, errs bytes.Buffer
		status := run([]string{"-strict", "-plain", wrong, m.Sock, m.Dir}, strings.NewReader(ciphers[dir]), &out, &errs)
		if status != exitEncrypted || out.String() != dir+"/"+filepath.Base(ciphers[dir]) {
			t.Errorf("%s, with the wrong -plain: status %d, shown as %q", dir, status, out.String())
		}
	}
}

// TestTrustHangs stops the file system behind the plain directory: what needs files
// stays encrypted, after one timeout in all, and comes back.
func TestTrustHangs(t *testing.T) {
	base := shortDir(t)
	s := servers(t)[0]
	below := mountForward(t, s, filepath.Join(base, "cipher"), filepath.Join(base, "plain"))
	m := trustMount(t, below.Plain, map[string]string{
		"Icon\r": "file 1", "dir/Icon\r": "file 1", "link": "-> dir/Icon", "file": "file 1", "bad\xff": "file 1",
	})
	icon, file, bad, link := m.encrypt(t, "Icon\r"), m.encrypt(t, "file"), m.cipherOf(t, "bad\xff"), m.encrypt(t, "link")
	text := m.target(t, link)
	gone := m.encrypt(t, "gone\r")
	settle()
	const timeout = time.Second
	f := startFilter(t, "-timeout", timeout.String(), m.Sock, m.Dir)
	first := fmt.Sprintf("%s\n%s -> %s\n", file, link, text)
	f.send(first)
	shown := "file\nlink -> dir/Icon\n"
	f.shows(shown)

	below.signal(t, syscall.SIGSTOP)
	defer below.signal(t, syscall.SIGCONT)
	start := time.Now()
	for range 10 {
		lines := fmt.Sprintf("%s\n%s\n%s\n%s/%s\n", gone, icon, bad, m.encrypt(t, "dir"), filepath.Base(m.encrypt(t, "dir/Icon\r")))
		f.send(lines)
		shown += fmt.Sprintf("%s\n%s\n%s\ndir/Icon\\#015\n", gone, icon, bad)
		f.shows(shown)
	}
	if d := time.Since(start); d > 3*timeout {
		t.Errorf("40 lines took %v, want one timeout of %v", d, timeout)
	}

	below.signal(t, syscall.SIGCONT)
	for _, back := range []struct{ line, want string }{
		{link + " -> " + text, "link -> dir/Icon"},
		{icon, `Icon\#015`},
		{bad, `bad\#377`},
	} {
		ctlsocktest.Eventually(t, back.want+" comes back", func() bool {
			before := f.out.String()
			f.send(back.line + "\n")
			got := f.until(func(got string) bool { return len(got) > len(before) && strings.HasSuffix(got, "\n") })
			time.Sleep(50 * time.Millisecond)
			return got == before+back.want+"\n"
		})
	}
	f.in.Close()
	f.wait()
}

// TestTrustStopped has targets of links come back after gocryptfs itself was stopped, and
// names below a MOUNT inside the view, also if the filter was started meanwhile.
func TestTrustStopped(t *testing.T) {
	for _, early := range []bool{true, false} {
		t.Run(fmt.Sprintf("started before: %v", early), func(t *testing.T) {
			m := trustMount(t, filepath.Join(shortDir(t), "plain"), map[string]string{"dir/link": "-> the target"})
			link := m.encrypt(t, "dir/link")
			line := filepath.Base(link) + " -> " + m.target(t, link)
			const shown = "link -> the target\n"
			var f *running
			start := func() { f = startFilter(t, "-timeout", "1s", m.Sock, filepath.Join(m.Dir, filepath.Dir(link))) }
			next := func() string {
				before := f.out.String()
				f.send(line + "\n")
				got := f.until(func(got string) bool { return len(got) > len(before) && strings.HasSuffix(got, "\n") })
				return got[len(before):]
			}
			settle() // the kernel knows nothing of the view any more
			if early {
				start()
				if got := next(); got != shown {
					t.Errorf("got %q", got)
				}
				settle()
			}
			m.signal(t, syscall.SIGSTOP)
			defer m.signal(t, syscall.SIGCONT)
			if !early {
				start()
			}
			if got := next(); got == shown && !early {
				t.Errorf("got %q of a server that is stopped", got)
			}
			m.signal(t, syscall.SIGCONT)
			ctlsocktest.Eventually(t, "the target comes back", func() bool {
				time.Sleep(50 * time.Millisecond)
				return next() == shown
			})
			f.in.Close()
			f.wait()
		})
	}
}

// TestTrustTable finds the plain directory, or says that it did not, whatever the mount
// table has: never is the target of another link shown.
func TestTrustTable(t *testing.T) {
	need(t, "root", "mount")
	base := shortDir(t)
	links := func(dir, target string) string {
		for _, path := range []string{"link", "dir/link"} {
			create(t, filepath.Join(base, dir), path, "-> "+target)
		}
		return filepath.Join(base, dir)
	}
	bind := func(from string) string {
		at := filepath.Join(shortDir(t), "bound")
		if err := os.Mkdir(at, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(from, at, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Unmount(at, unix.MNT_DETACH) })
		return at
	}
	type operand struct {
		m      *mount
		mount  string // how it is spelled
		link   string // the plain path of a link,
		cipher string // and how it is spelled in the text
		want   string // its target; "" if it stays encrypted
	}
	all := map[string]operand{}
	add := func(name string, m *mount, want string) {
		all[name] = operand{m, m.Dir, "link", m.encrypt(t, "link"), want}
	}
	addBelow := func(name string, m *mount, mount string) {
		all[name] = operand{m, mount, "dir/link", filepath.Base(m.encrypt(t, "dir/link")), "right"}
	}

	comma := trustMount(t, links("Photos, 2023", "right"), nil)
	add("a comma", comma, "right")
	add("its neighbor", trustMount(t, links("Photos_ 2023", "wrong"), nil), "wrong")
	links("a_b/c_d", "wrong")
	add("a comma in a parent", trustMount(t, links("a,b/c,d", "right"), nil), "right")
	add("-fsname of a copy", trustMount(t, links("truth", "right"), nil, "-fsname="+links("lie", "wrong")), "")
	add("-fsname of nothing", trustMount(t, links("named", "right"), nil, "-fsname=backup"), "")
	add("bound", &mount{Sock: comma.Sock, Dir: bind(comma.Dir)}, "right")
	dir := comma.encrypt(t, "dir")
	addBelow("a directory", comma, filepath.Join(comma.Dir, dir))
	addBelow("a bound directory", comma, bind(filepath.Join(comma.Dir, dir)))

	real, byLink := filepath.Join(base, "real"), filepath.Join(base, "by link")
	if err := errors.Join(os.Mkdir(real, 0o755), os.Symlink(real, byLink)); err != nil {
		t.Fatal(err)
	}
	s := servers(t)[0]
	forward := mountForward(t, s, byLink, filepath.Join(base, "view"))
	links("view", "right")
	other := mountForward(t, s, filepath.Join(base, "other"), filepath.Join(base, "other view"), "-fsname="+real)
	links("other view", "wrong")
	add("-fsname of another mount's", other, "")
	for name, spelling := range map[string]string{"forward": real, "by a link": byLink, "forward, bound": bind(real)} {
		add(name, &mount{Sock: forward.Sock, Dir: spelling}, "right")
	}
	dir = forward.encrypt(t, "dir")
	addBelow("forward, a directory", forward, filepath.Join(byLink, dir))
	addBelow("forward, a bound directory", forward, bind(filepath.Join(real, dir)))

	settle()
	for name, o := range all {
		var out, errs bytes.Buffer
		text := o.m.target(t, o.m.encrypt(t, o.link))
		status := run([]string{o.m.Sock, o.mount}, strings.NewReader(o.cipher+" -> "+text), &out, &errs)
		want, warnings := filepath.Base(o.link)+" -> "+o.want, 0
		if o.want == "" {
			want, warnings = want+text, 1
		}
		if out.String() != want || status != exitOK {
			t.Errorf("%s: status %d, shown as %q, want %q", name, status, &out, want)
		}
		if n := strings.Count(errs.String(), "warning: "); n != warnings || n > 0 && !strings.Contains(errs.String(), "-plain") {
			t.Errorf("%s: %d warnings, want %d that name -plain:\n%s", name, n, warnings, &errs)
		}
	}
}

// TestTrustSwapped swaps two links and the directories of two others all the time. Each
// encrypted target belongs to one plain one for ever.
func TestTrustSwapped(t *testing.T) {
	// Below a directory, since a root that changes all the time is not trusted at all.
	files := map[string]string{"d/a": "-> first", "d/b": "-> second", "d/x/link": "-> third", "d/y/link": "-> fourth"}
	m := trustMount(t, filepath.Join(shortDir(t), "plain"), files)
	pairs := [][2]string{{"d/a", "d/b"}, {"d/x", "d/y"}}
	swap := func() {
		for _, p := range pairs {
			err := unix.Renameat2(unix.AT_FDCWD, filepath.Join(m.Plain, p[0]), unix.AT_FDCWD, filepath.Join(m.Plain, p[1]), unix.RENAME_EXCHANGE)
			if err != nil {
				t.Error(err)
			}
		}
	}
	truth := map[string]string{} // by line
	var lines []string
	for range 2 {
		for path := range files {
			cipher := m.encrypt(t, path)
			target, err := os.Readlink(filepath.Join(m.Plain, path))
			if err != nil {
				t.Fatal(err)
			}
			line := cipher + " -> " + m.target(t, cipher)
			truth[line] = path + " -> " + target
			lines = append(lines, line)
		}
		swap()
		settle()
	}
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() { // at different speeds, some within a tick of the clock
		defer close(done)
		for turn := 0; ; turn++ {
			select {
			case <-stop:
				return
			case <-time.After([]time.Duration{0, time.Millisecond, 8 * time.Millisecond, 40 * time.Millisecond}[turn/50%4]):
				for range 1 + turn/200%2*50 {
					swap()
				}
			}
		}
	}()
	wrong := 0
	for range 300 {
		shown, _ := pretty(t, []string{m.Sock, m.Dir}, []byte(text(lines)))
		for i, got := range strings.Split(strings.TrimSuffix(shown, "\n"), "\n") {
			path, target, _ := strings.Cut(truth[lines[i]], " -> ")
			if _, encrypted, _ := strings.Cut(lines[i], " -> "); got != path+" -> "+target && got != path+" -> "+encrypted {
				wrong++
				t.Errorf("%q, want %q", got, truth[lines[i]])
			}
		}
		if wrong > 10 {
			break
		}
	}
	close(stop)
	<-done
	settle()
	shown, _ := pretty(t, []string{m.Sock, m.Dir}, []byte(text(lines)))
	if n := strings.Count(shown, "first") + strings.Count(shown, "second") + strings.Count(shown, "third") + strings.Count(shown, "fourth"); n != len(files) {
		t.Errorf("%d targets are shown in the end, want those of %d links:\n%s", n, len(files), shown)
	}
}

// TestTrustAlike has names that are the same in every directory: only paths that there are
// get into the index, whatever the text has, and wherever MOUNT lies.
func TestTrustAlike(t *testing.T) {
	deep := long("long ", 200) + "/sub"
	files := map[string]string{
		"top": "file 1", "dir/sub/below": "file 1", "dir/sub/dir/deep": "file 1", "dir/beside": "file 1", "sub/other": "file 1",
		deep + "/below": "file 1", deep + "/sub/deep": "file 1", "link": "-> dir",
	}
	m := trustMount(t, filepath.Join(shortDir(t), "plain"), files, "-deterministic-names")
	cipher := func(path string) string { return m.encrypt(t, path) }
	away := func(n int64) string { // a socket that hangs up at the nth question
		var questions atomic.Int64
		return ctlsocktest.Start(t, ctlsocktest.Path(t), func(c *ctlsocktest.Conn) {
			server, err := net.Dial("unix", m.Sock)
			if err != nil {
				return
			}
			defer server.Close()
			buf := make([]byte, 64<<10)
			for {
				k, err := c.Read(buf)
				if err != nil || questions.Add(1) == n {
					return
				}
				server.Write(buf[:k])
				if k, err = server.Read(buf); err != nil {
					return
				}
				c.Write(buf[:k])
			}
		}).Path
	}
	inside := []string{"below", "dir/deep", "mount/top", "sub/below", "dir/sub/below", "/x/dir/beside", "*deleting   gone", "*deleting   dir/gone"}
	type test struct {
		sub   string
		lines []string // encrypted, each last word is a path
		away  int64
	}
	tests := map[string]test{
		"MOUNT inside":            {"dir/sub", inside, 0},
		"MOUNT below a long name": {deep, inside, 0},
		"ls -R":                   {"", []string{"dir/sub:", "below", "dir", "dir/sub/dir:", "deep", "sub:", "other"}, 0},
		"diff -rq":                {"", []string{"Only in dir/sub: below", "Only in dir: beside", "Only in dir/sub/dir: deep"}, 0},
		"a deleted directory":     {"", []string{"deleting dir/sub/gone/below", "gone/below", "gone/dir/deep"}, 0},
		"MOUNT at a long name":    {path.Dir(deep), inside, 0},
	}
	for n := range int64(16) {
		tests[fmt.Sprint("the socket away at question ", n+1)] = test{"dir/sub", inside, n + 1}
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var in, want strings.Builder
			for _, line := range tt.lines {
				fmt.Fprintln(&want, line)
				prefix, word := "", line
				if i := strings.LastIndexAny(line, " "); i >= 0 {
					prefix, word = line[:i+1], line[i+1:]
				}
				if dir, rest, ok := strings.Cut(line, ": "); ok {
					prefix = "Only in " + cipher(strings.TrimPrefix(dir, "Only in ")) + ": "
					word = rest
				}
				for _, keep := range []string{"mount/", "/x/"} {
					if rest, ok := strings.CutPrefix(word, keep); ok {
						prefix, word = prefix+keep, rest
					}
				}
				word, colon := strings.CutSuffix(word, ":")
				fmt.Fprint(&in, prefix, cipher(word))
				if colon {
					fmt.Fprint(&in, ":")
				}
				fmt.Fprintln(&in)
			}
			sock, mount := m.Sock, m.Dir
			if tt.sub != "" {
				mount = filepath.Join(m.Dir, cipher(tt.sub))
			}
			if tt.away > 0 {
				sock = away(tt.away)
			}
			index := filepath.Join(shortDir(t), "index")
			shown, _ := pretty(t, []string{"-map", index, sock, mount}, []byte(in.String()))
			if shown != want.String() && tt.away == 0 {
				t.Errorf("got\n%swant\n%s", shown, &want)
			}
			lines := 0
			for line := range strings.Lines(read(t, index)) {
				_, plain, _ := strings.Cut(strings.TrimSpace(line), "\t")
				if _, err := os.Lstat(filepath.Join(m.Plain, plain)); err != nil {
					t.Errorf("the index has %q, which does not exist", plain)
				}
				lines++
			}
			if lines == 0 && name != "a deleted directory" && tt.away == 0 {
				t.Error("the index has nothing")
			}
		})
	}
}

// A foreign is a FUSE server of another user. For the files of a victim, it hands out their
// inode numbers and change times, with other names and targets.
type foreign struct {
	fuse.RawFileSystem
	hangs chan struct{} // if it hangs, until this is closed
	looks atomic.Int64
	names atomic.Int64 // those of looks that tell a name
}

func (f *foreign) look() {
	f.looks.Add(1)
	if f.hangs != nil {
		<-f.hangs
	}
}

func (f *foreign) Lookup(cancel <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	f.names.Add(1)
	f.look()
	return f.RawFileSystem.Lookup(cancel, header, name, out)
}

func (f *foreign) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	f.look()
	return f.RawFileSystem.GetAttr(cancel, in, out)
}

// A fakeDir is the root of a foreign.
type fakeDir struct {
	fusefs.Inode
	attr fuse.Attr
}

func (d *fakeDir) Getattr(ctx context.Context, fh fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Attr = d.attr
	return 0
}

// mountForeign mounts a foreign at a directory, as a user other than root would, with the
// files of the directory victim. Other users may look into it, except with the option
// private.
func mountForeign(t *testing.T, victim, fstype, source, at string, hangs, private bool) *foreign {
	t.Helper()
	need(t, "root", "fuse")
	attr := func(path string) (a fuse.Attr) {
		fi, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		a.FromStat(fi.Sys().(*syscall.Stat_t))
		return a
	}
	root := &fakeDir{attr: attr(victim)}
	f := &foreign{RawFileSystem: fusefs.NewNodeFS(root, &fusefs.Options{OnAdd: func(ctx context.Context) {
		for path, name := range map[string]string{"link": "link", "M\xfcller": "M\xf6ller"} {
			a := attr(filepath.Join(victim, path))
			var node fusefs.InodeEmbedder = &fusefs.MemRegularFile{Attr: a}
			if path == "link" {
				node = &fusefs.MemSymlink{Attr: a, Data: []byte("/etc/EVIL")}
			}
			root.AddChild(name, root.NewPersistentInode(ctx, node, fusefs.StableAttr{Mode: a.Mode &^ 0o7777, Ino: a.Ino}), true)
		}
	}})}
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=65534,group_id=65534,allow_other", fd)
	if private {
		options = strings.TrimSuffix(options, ",allow_other")
	}
	if err := unix.Mount(source, at, fstype, unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		t.Fatal(err)
	}
	server, err := fuse.NewServer(f, fmt.Sprint("/dev/fd/", fd), &fuse.MountOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if hangs {
		f.hangs = make(chan struct{})
	}
	go server.Serve()
	t.Cleanup(func() {
		if hangs {
			close(f.hangs)
		}
		unix.Unmount(at, unix.MNT_DETACH)
	})
	return f
}

// TestTrustForeign has mounts of another user in the mount table: they are not believed, and
// not even looked at, since a look tells a FUSE server names.
func TestTrustForeign(t *testing.T) {
	need(t, "root")
	files := map[string]string{"link": "-> right-target", "M\xfcller": "file 1", "file": "file 1"}
	for name, tt := range map[string]struct {
		forward, hangs bool
		fstype         string
		source, at     func(m *mount) string // of the foreign mount; a new directory if nil
		want           string                // of the names after "file"
	}{
		"reverse, the plain side of the view":  {source: viewOf, fstype: "fuse.gocryptfs", want: rightNames},
		"reverse, of any type":                 {source: viewOf, fstype: "fuse", want: rightNames},
		"reverse, another view":                {source: plainOf, fstype: "fuse.gocryptfs-reverse", want: rightNames},
		"reverse, it hangs":                    {source: viewOf, fstype: "fuse.gocryptfs", hangs: true, want: rightNames},
		"reverse, on top of the plain side":    {source: viewOf, fstype: "fuse.gocryptfs", at: plainOf},
		"reverse, on top of it, and it hangs":  {source: viewOf, fstype: "fuse.gocryptfs", at: plainOf, hangs: true},
		"forward":                              {forward: true, source: viewOf, fstype: "fuse.gocryptfs", want: rightNames},
		"forward, it hangs":                    {forward: true, source: viewOf, fstype: "fuse.gocryptfs", hangs: true, want: rightNames},
		"forward, on top of the plain side":    {forward: true, source: viewOf, fstype: "fuse.gocryptfs", at: plainOf},
		"forward, below a directory of theirs": {forward: true, source: viewOf, fstype: "fuse", at: func(m *mount) string { return filepath.Dir(m.Plain) }},
	} {
		t.Run(name, func(t *testing.T) {
			base := shortDir(t)
			plain, view := filepath.Join(base, "users", "plain"), filepath.Join(base, "view")
			m := &mount{}
			if tt.forward {
				m = mountForward(t, servers(t)[0], view, plain)
			} else {
				m = mountReverse(t, servers(t)[0], plain, view)
			}
			in, encrypted := "", ""
			for path, state := range files {
				create(t, m.Plain, path, state)
			}
			link, byte := m.encrypt(t, "link"), m.cipherOf(t, "M\xfcller")
			encrypted = link + " -> " + m.target(t, link) + "\n" + byte + "\n"
			in = m.encrypt(t, "file") + "\n" + encrypted
			settle()
			at := filepath.Join(base, "users", "foreign")
			if tt.at != nil {
				at = tt.at(m)
			}
			f := mountForeign(t, m.Plain, tt.fstype, tt.source(m), at, tt.hangs, false)
			want := tt.want
			if want == "" {
				want = strings.Replace(encrypted, link, "link", 1)
			}
			var out, errs bytes.Buffer
			index := filepath.Join(shortDir(t), "index")
			run([]string{"-timeout", "2s", "-map", index, m.Sock, m.Dir}, strings.NewReader(in), &out, &errs)
			if out.String() != "file\n"+want || (errs.Len() == 0) != (tt.want != "") {
				t.Errorf("shown as\n%s, want\nfile\n%sstderr: %s", &out, want, &errs)
			}
			looks, names := f.looks.Load(), f.names.Load()
			if tt.at != nil && !tt.forward {
				looks = 0 // gocryptfs itself looks at its plain directory
			}
			if looks > 0 || names > 0 {
				t.Errorf("the other user's server was asked %d times, for %d names", looks, names)
			}
			if got := read(t, index); strings.Contains(got, `\#366`) || strings.Contains(errs.String(), "gocryptfs stopped") {
				t.Errorf("the index has %q, stderr: %s", got, &errs)
			}
		})
	}
}

const rightNames = "link -> right-target\nM\\#374ller\n"

func viewOf(m *mount) string  { return m.Dir }
func plainOf(m *mount) string { return m.Plain }

// twins mounts a file system at each of two directories. Both have the same inode numbers
// and change times: they are filled within one tick of the clock. In each is the
// configuration of the same gocryptfs, a link, and a file with a name that looks the same
// in JSON.
func twins(t *testing.T, dirs ...string) (targets, names []string) {
	t.Helper()
	need(t, "root", "mount")
	first := shortDir(t)
	mountReverse(t, servers(t)[0], filepath.Join(first, "plain"), filepath.Join(first, "view")).unmount(t)
	conf := []byte(read(t, filepath.Join(first, "plain", ".gocryptfs.reverse.conf")))
	targets, names = []string{"first-one", "second-one"}, []string{"bad\xff", "bad\xfe"}
	for range 1000 {
		var errs []error
		for _, dir := range dirs {
			os.MkdirAll(dir, 0o755)
			errs = append(errs, unix.Mount("twin", dir, "tmpfs", 0, "mode=755"))
		}
		for i, dir := range dirs {
			errs = append(errs, os.WriteFile(dir+"/.gocryptfs.reverse.conf", conf, 0o600),
				os.Symlink(targets[i], dir+"/link"), os.WriteFile(dir+"/"+names[i], nil, 0o644))
		}
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		var seen []string
		for i, dir := range dirs {
			for _, name := range []string{".", "link", names[i]} {
				fi, err := os.Lstat(dir + "/" + name)
				if err != nil {
					t.Fatal(err)
				}
				st := fi.Sys().(*syscall.Stat_t)
				seen = append(seen, fmt.Sprint(st.Ino, st.Ctim))
			}
		}
		if slices.Equal(seen[:3], seen[3:]) {
			t.Cleanup(func() {
				for _, dir := range dirs {
					unix.Unmount(dir, unix.MNT_DETACH)
				}
			})
			return targets, names
		}
		for _, dir := range dirs {
			if err := unix.Unmount(dir, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Fatal("no two file systems with the same change times")
	return
}

// TestTrustTwins has two file systems with the same inode numbers and change times: what
// one of them has is never shown for the other.
func TestTrustTwins(t *testing.T) {
	s := servers(t)[0]
	// lines returns the lines for a link and a name, and what they are in plain.
	lines := func(m *mount, target, name string) (in, want []string) {
		link := m.encrypt(t, "link")
		in = []string{link + " -> " + m.target(t, link), m.cipherOf(t, name)}
		return in, []string{"link -> " + target, escape.String(name)}
	}
	// never checks that each line is right or has stayed encrypted.
	never := func(t *testing.T, shown string, in, want []string) (right int) {
		t.Helper()
		got := strings.Split(strings.TrimSuffix(shown, "\n"), "\n")
		for i, line := range in {
			_, text, _ := strings.Cut(line, " -> ")
			switch {
			case len(got) <= i:
				t.Fatalf("got %q", got)
			case got[i] == want[i]:
				right++
			case got[i] != line && got[i] != "link -> "+text:
				t.Errorf("%q, want %q", got[i], want[i])
			}
		}
		return right
	}

	t.Run("mounted in turn at the same path", func(t *testing.T) {
		base := shortDir(t)
		one, two, view := filepath.Join(base, "one"), filepath.Join(base, "two"), filepath.Join(base, "view")
		targets, names := twins(t, one, two)
		sock := filepath.Join(base, "sock")
		var f *running
		for turn := range 4 {
			m := mountReverse(t, s, []string{one, two}[turn%2], view)
			os.Remove(sock)
			if err := os.Symlink(m.Sock, sock); err != nil {
				t.Fatal(err)
			}
			in, want := lines(m, targets[turn%2], names[turn%2])
			if f == nil {
				settle()
				f = startFilter(t, sock, view)
			}
			right := 0
			for start := time.Now(); right < len(in) && !t.Failed() && time.Since(start) < startLimit; {
				before := f.out.String()
				f.send(text(in))
				got := f.until(func(got string) bool { return strings.Count(got[len(before):], "\n") >= len(in) })
				right = never(t, got[len(before):], in, want)
				time.Sleep(20 * time.Millisecond)
			}
			if right < len(in) {
				t.Errorf("turn %d: %d of %d lines decoded in the end", turn, right, len(in))
			}
			m.unmount(t)
		}
		f.in.Close()
		f.wait()
	})

	t.Run("a comma and an underscore", func(t *testing.T) {
		base := shortDir(t)
		dirs := []string{filepath.Join(base, "os,1"), filepath.Join(base, "os_1")}
		targets, names := twins(t, dirs...)
		for i, dir := range dirs {
			m := mountReverse(t, s, dir, filepath.Join(base, fmt.Sprint("view", i)))
			in, want := lines(m, targets[i], names[i])
			settle()
			shown, warnings := pretty(t, []string{m.Sock, m.Dir}, []byte(text(in)))
			if right := never(t, shown, in, want); right > 0 {
				t.Errorf("%s: %d lines are decoded from one of two that fit", dir, right)
			}
			if !strings.Contains(warnings, "-plain") || !strings.Contains(warnings, dirs[0]) || !strings.Contains(warnings, dirs[1]) {
				t.Errorf("%s: %s", dir, warnings)
			}
			shown, _ = pretty(t, []string{"-plain", dir, m.Sock, m.Dir}, []byte(text(in)))
			if right := never(t, shown, in, want); right != len(in) {
				t.Errorf("%s: with -plain, %d of %d lines are decoded", dir, right, len(in))
			}
			m.unmount(t)
		}
	})

	t.Run("in another mount namespace", func(t *testing.T) {
		need(t, "namespaces")
		base := shortDir(t)
		one, two, view := filepath.Join(base, "one"), filepath.Join(base, "two"), filepath.Join(base, "view")
		targets, names := twins(t, one, two)
		m := mountReverse(t, s, one, view)
		in, want := lines(m, targets[0], names[0])
		settle()
		for _, flags := range []string{"", "-plain " + one + "/.. ", "-plain " + base + "/kept "} {
			script := fmt.Sprintf("mkdir -p %[1]s/kept; mount --bind %[2]s %[1]s/kept; mount --bind %[3]s %[2]s; %[4]s %[5]s%[6]s %[7]s",
				base, one, two, program, flags, m.Sock, view)
			cmd := exec.Command("unshare", "-m", "sh", "-c", script)
			cmd.Env, cmd.Stdin = programEnv(), strings.NewReader(text(in))
			var errs bytes.Buffer
			cmd.Stderr = &errs
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, &errs)
			}
			right, wantRight := never(t, string(out), in, want), 0
			if strings.Contains(flags, "kept") {
				wantRight = len(in)
			}
			if right != wantRight || (wantRight == 0) != strings.Contains(errs.String(), "-plain") {
				t.Errorf("%q: %d lines are decoded, want %d; stderr: %s", flags, right, wantRight, &errs)
			}
		}
	})
}

// TestTrustLongNames has the storage exchange the files of long names in forward mode:
// gocryptfs answers with the wrong name.
func TestTrustLongNames(t *testing.T) {
	for _, s := range servers(t) {
		for _, dir := range []string{"dir", "b\xe4d"} {
			for _, prefix := range []string{"", "\xff"} {
				t.Run(fmt.Sprintf("%s %q", s.Name, dir+prefix), func(t *testing.T) { exchangeLongNames(t, s, dir, prefix) })
			}
		}
	}
}

func exchangeLongNames(t *testing.T, s server, dir, prefix string) {
	base := shortDir(t)
	m := mountForward(t, s, filepath.Join(base, "cipher"), filepath.Join(base, "plain"))
	var plain, ciphers []string
	for _, name := range []string{"first ", "second "} {
		name = dir + "/" + long(prefix+name, 200)
		create(t, m.Plain, name+"/file", "file 1")
		plain = append(plain, name, name+"/file")
	}
	for _, path := range plain {
		ciphers = append(ciphers, m.cipherOf(t, path))
	}
	settle()
	shown := func(names ...string) string { return text(names) }
	escaped := func(i int) string { return escape.String(plain[i]) }
	index := filepath.Join(base, "index")
	first := filepath.Join(m.Dir, ciphers[0]+".name")
	kept := read(t, first)
	wrong := escape.String(dir) + "/" + path.Base(ciphers[0])
	in, all := text(ciphers), shown(escaped(0), escaped(1), escaped(2), escaped(3))
	if err := errors.Join(os.Chmod(first, 0o600), os.WriteFile(first, []byte(read(t, filepath.Join(m.Dir, ciphers[2]+".name"))), 0)); err != nil {
		t.Fatal(err)
	}
	right, below := escaped(2), escaped(3)
	if prefix != "" { // a name that is in the plain directory twice stays encrypted
		right = escape.String(dir) + "/" + path.Base(ciphers[2])
		below = right + "/" + path.Base(ciphers[3])
	}
	wantShown(t, "exchanged", in, shown(wrong, wrong+"/"+path.Base(ciphers[1]), right, below), "-map", index, m.Sock, m.Dir)
	if err := os.WriteFile(first, []byte(kept), 0); err != nil {
		t.Fatal(err)
	}
	settle()
	wantShown(t, "repaired", in, all, "-map", index, m.Sock, m.Dir)
}

// TestTrustMessages says what is wrong with MOUNT or -plain, and what to do about it.
func TestTrustMessages(t *testing.T) {
	base := shortDir(t)
	victim, theirs := filepath.Join(base, "victim"), filepath.Join(base, "theirs")
	create(t, victim, "link", "-> x")
	create(t, victim, "M\xfcller", "file 1")
	mountForeign(t, victim, "fuse.gocryptfs-reverse", victim, theirs, false, true)
	m := trustMount(t, filepath.Join(base, "plain"), map[string]string{"gocryptfs.conf": "file 1", "link": "-> right"})
	link := m.encrypt(t, "link")
	line := link + " -> " + m.target(t, link)
	settle()
	for _, tt := range []struct {
		args           []string
		shown, message string
	}{
		{[]string{m.Sock, theirs}, "link -> " + m.target(t, link), "permission denied\n" + program + ": hint: run as the user who mounted it, or mount it with -allow_other"},
		{[]string{m.Sock, ""}, "link -> " + m.target(t, link), "MOUNT is empty"},
		{[]string{"-plain", m.Plain, m.Sock, m.Dir}, "link -> right", ""},
		{[]string{"-plain", m.Dir, m.Sock, m.Dir}, "link -> " + m.target(t, link), "is the encrypted side"},
	} {
		shown, said := pretty(t, tt.args, []byte(line))
		if shown != tt.shown || !strings.Contains(said, tt.message) || (said == "") != (tt.message == "") {
			t.Errorf("%q: shown as %q, stderr: %s, want %q, %s", tt.args, shown, said, tt.shown, tt.message)
		}
	}
}

// TestTrustGlued has more glued to the target of a link: it is not that target then.
func TestTrustGlued(t *testing.T) {
	m := trustMount(t, filepath.Join(shortDir(t), "plain"), map[string]string{"link": "-> right"})
	link := m.encrypt(t, "link")
	target := m.target(t, link)
	settle()
	for after, glued := range map[string]bool{
		"evil": true, "-evil": true, "_": true, "A": true, "": false, " more": false, "'": false, "\x1b[0m": false,
	} {
		want := "link -> right" + after
		if glued {
			want = "link -> " + target + after
		}
		wantShown(t, "with "+after, link+" -> "+target+after+"\n", want+"\n", m.Sock, m.Dir)
	}
}

// TestTrustNoWait has the plain directory not be found, and another one change all the time
// that could be it: the text does not wait.
func TestTrustNoWait(t *testing.T) {
	base := shortDir(t)
	other := filepath.Join(base, "other")
	create(t, other, "file", "file 1")
	m := trustMount(t, filepath.Join(base, "plain"), map[string]string{"dir/file": "file 1"}, "-fsname="+other)
	cipher := m.encrypt(t, "dir/file")
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				os.Chmod(other, 0o700|os.FileMode(i%8))
			}
		}
	}()
	f := startFilter(t, m.Sock, m.Dir)
	f.send(cipher + "\n")
	f.shows("dir/file\n")
	start := time.Now()
	for n := range 8 {
		time.Sleep(400 * time.Millisecond) // it is looked for again meanwhile
		f.send(cipher + "\n")
		f.shows(strings.Repeat("dir/file\n", n+2))
	}
	if d := time.Since(start) - 8*400*time.Millisecond; d > 2*time.Second {
		t.Errorf("8 lines waited %v", d)
	}
	f.in.Close()
	f.wait()
}

// TestTrustNonblocking has another process that shares stdin or stdout make it
// non-blocking.
func TestTrustNonblocking(t *testing.T) {
	in, inWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outRead, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "/nonexistent/sock", t.TempDir())
	cmd.Stdin, cmd.Stdout = in, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Go would notice a file that is non-blocking when the program starts.
	hello := []byte("hello\n")
	inWrite.Write(hello)
	if _, err := io.ReadFull(outRead, hello); err != nil {
		t.Fatal(err)
	}
	for _, f := range []*os.File{in, out} {
		if err := unix.SetNonblock(int(f.Fd()), true); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	want := strings.Repeat("no name in here\n", 100_000)
	go func() {
		defer inWrite.Close()
		for rest := want; rest != ""; {
			n := min(len(rest), 200_000)
			inWrite.WriteString(rest[:n])
			rest = rest[n:]
			time.Sleep(20 * time.Millisecond) // nothing to read meanwhile
		}
		var chars, reads, writes int
		counts := read(t, fmt.Sprintf("/proc/%d/io", cmd.Process.Pid))
		if _, err := fmt.Sscanf(counts, "rchar: %d\nwchar: %d\nsyscr: %d\nsyscw: %d", &chars, &chars, &reads, &writes); err != nil {
			t.Error(err)
		}
		if reads > 1000 || writes > 2000 { // usually 70 and 450
			t.Errorf("%d reads and %d writes, most of them in vain", reads, writes)
		}
	}()
	time.Sleep(100 * time.Millisecond) // the pipe is full meanwhile
	var got bytes.Buffer
	if _, err := got.ReadFrom(outRead); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || got.String() != want {
		t.Errorf("%v, %d bytes of %d came out", err, got.Len(), len(want))
	}
}

// TestTrustDeafStderr has nobody read the warnings.
func TestTrustDeafStderr(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	tr := fakeTranscript(1000)
	cmd := exec.Command(program, "-v", "-strict", "-map", t.TempDir(), "/nonexistent/sock", t.TempDir())
	cmd.Stdin, cmd.Stderr = strings.NewReader(tr.input()), w
	out, err := cmd.Output()
	if exitStatus(cmd.ProcessState) != exitFailed || string(out) != tr.input() {
		t.Errorf("%v, %d bytes of %d came out", err, len(out), len(tr.input()))
	}
}

// TestRandomWords gives 12,000 words to real servers. They could be names but are not.
// About one in 280 still decrypts to something.
func TestRandomWords(t *testing.T) {
	const n = 12_000
	for _, s := range servers(t) {
		for _, sh := range []shape{
			{name: "reverse"},
			{name: "forward", forward: true},
			{name: "deterministic", opts: []string{"-deterministic-names"}},
		} {
			t.Run(s.Name+" "+sh.name, func(t *testing.T) {
				dir := shortDir(t)
				serve := mountReverse
				if sh.forward {
					serve = mountForward
				}
				m := serve(t, s, filepath.Join(dir, "a"), filepath.Join(dir, "b"), sh.opts...)
				if err := os.WriteFile(filepath.Join(m.Plain, "a name"), nil, 0o644); err != nil {
					t.Fatal(err)
				}
				name := m.encrypt(t, "a name")
				text := wordLines(n)
				shown, warnings := pretty(t, []string{m.Sock, m.Dir}, fmt.Appendf(nil, "%s\n%s%s\n", name, text, name))
				if warnings != "" {
					t.Errorf("stderr: %s", warnings)
				}
				shown, ok := strings.CutPrefix(shown, "a name\n")
				shown, ok2 := strings.CutSuffix(shown, "a name\n")
				if !ok || !ok2 {
					t.Error("a real name does not decode")
				}
				want, got := strings.Split(text, "\n"), strings.Split(shown, "\n")
				slices.Sort(want)
				slices.Sort(got)
				missing, extra := difference(want, got)
				if len(missing)+len(extra) > 0 {
					t.Errorf("want %s\ngot  %s", visible(missing, "\nwant "), visible(extra, "\ngot  "))
				}
				t.Logf("%d words, %d turned into something", n, len(missing))
			})
		}
	}
}

// TestRandomWordsBelow gives 200,000 words to a real server, with and without suffixes,
// prefixes and spelled-out bytes before them, each after the path of a directory in which it
// could lie. It is asked for at the root, too.
func TestRandomWordsBelow(t *testing.T) {
	const n = 200_000
	dir := shortDir(t)
	m := mountReverse(t, servers(t)[0], filepath.Join(dir, "a"), filepath.Join(dir, "b"))
	if err := os.MkdirAll(filepath.Join(m.Plain, "a dir/below"), 0o755); err != nil {
		t.Fatal(err)
	}
	below := m.encrypt(t, "a dir/below")
	prefixes := []string{"", "-", "._", "2026-01-01_", `\n`, `\x0a`, "#012", "%2F", "=3D", "^M", `\u001b[32m`, ".f..t....x"}
	suffixes := []string{"", "-2026-11-23", "_bak", "-old", "~"}
	var in, want bytes.Buffer
	for i, line := range strings.Split(strings.TrimSuffix(wordLines(n), "\n"), "\n") {
		word := prefixes[i%len(prefixes)] + strings.Fields(strings.TrimPrefix(line, "Commit "))[0] + suffixes[i%len(suffixes)]
		fmt.Fprintf(&in, "Only in %s: %s\n", below, word)
		fmt.Fprintf(&want, "Only in a dir/below: %s\n", word)
	}
	shown, warnings := pretty(t, []string{m.Sock, m.Dir}, in.Bytes())
	if warnings != "" {
		t.Errorf("stderr: %s", warnings)
	}
	if missing, extra := difference(strings.Split(want.String(), "\n"), strings.Split(shown, "\n")); len(missing)+len(extra) > 0 {
		t.Errorf("%d words turned: want %s\ngot  %s", len(missing), visible(missing, "\nwant "), visible(extra, "\ngot  "))
	}
}

// TestSoak runs filters over and over, with input in random pieces, while the tree
// changes, and gocryptfs hangs or is mounted again, in turn with another plain directory that
// has the same names and other links. Half of the filters share an index. Each line that comes
// out must be right or have stayed encrypted.
func TestSoak(t *testing.T) {
	limit, err := time.ParseDuration(os.Getenv("SOAKTIME"))
	if err != nil {
		t.Skip("run by make soak")
	}
	base := shortDir(t)
	s := servers(t)[0]
	plains, view := []string{filepath.Join(base, "one"), filepath.Join(base, "two")}, filepath.Join(base, "view")
	sock := filepath.Join(base, "sock") // the same one for each mount
	truth := map[string]string{}        // by line
	var m *mount
	use := func(plain string) {
		m = mountReverse(t, s, plain, view)
		os.Remove(sock)
		if err := os.Symlink(m.Sock, sock); err != nil {
			t.Fatal(err)
		}
	}
	use(plains[1])
	soakNames(t, m, truth)
	m.unmount(t)
	const conf = "/.gocryptfs.reverse.conf"
	create(t, plains[0], "dir 0/file", "file 1")
	if err := os.WriteFile(plains[0]+conf, []byte(read(t, plains[1]+conf)), 0o600); err != nil {
		t.Fatal(err)
	}
	use(plains[0])
	soakNames(t, m, truth)
	asked := slices.Sorted(maps.Keys(truth))

	end := time.Now().Add(limit)
	var group sync.WaitGroup
	group.Go(func() { // the trees change
		random := rand.New(rand.NewPCG(1, 1))
		some := func() (path, target string) {
			path, target, _ = strings.Cut(truth[asked[random.IntN(len(asked))]], " -> ")
			return filepath.Join(plains[random.IntN(2)], path), target
		}
		for n := 0; time.Now().Before(end); n++ {
			path, target := some()
			other, _ := some()
			switch random.IntN(4) {
			case 0:
				os.RemoveAll(path)
			case 1:
				os.Rename(path, other)
			default:
				os.MkdirAll(filepath.Dir(path), 0o755)
				if target == "" {
					os.WriteFile(path, nil, 0o644)
				} else {
					os.Symlink(target, path)
				}
			}
			time.Sleep(time.Millisecond)
			if n%200 == 0 { // the kernel remembers a change time for a second
				time.Sleep(1500 * time.Millisecond)
			}
		}
	})
	var lines, decoded, targets, runs atomic.Int64
	for i := range 4 {
		group.Go(func() {
			random := rand.New(rand.NewPCG(2, uint64(i)))
			for time.Now().Before(end) {
				args := []string{"-timeout", "500ms", sock, view}
				if i%2 == 0 {
					args = append([]string{"-map", filepath.Join(base, "index")}, args...)
				}
				n, d, links, err := soakRun(random, args, truth, asked)
				if err != nil {
					t.Error(err)
					return
				}
				lines.Add(int64(n))
				decoded.Add(int64(d))
				targets.Add(int64(links))
				runs.Add(1)
			}
		})
	}
	for turn := 0; time.Now().Before(end); turn++ { // gocryptfs comes and goes
		time.Sleep(3 * time.Second)
		m.signal(t, syscall.SIGSTOP)
		time.Sleep(time.Second)
		m.signal(t, syscall.SIGCONT)
		if turn%3 == 2 {
			time.Sleep(2 * time.Second)
			ctlsocktest.Eventually(t, "the view is unmounted", func() bool { // not while it is looked at
				return exec.Command("fusermount3", "-u", m.at).Run() == nil
			})
			if turn%2 == 0 {
				time.Sleep(time.Second)
			}
			use(plains[turn/3%2])
		}
	}
	group.Wait()
	known := map[string]bool{}
	for line := range strings.Lines(read(t, filepath.Join(base, "index"))) {
		cipher, plain, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if want, ok := truth[cipher]; ok && plain != strings.ReplaceAll(escape.String(want), "\t", `\#011`) {
			t.Errorf("the index has %q", line)
		}
		known[cipher] = true
	}
	t.Logf("%d names in the index", len(known))
	t.Logf("%d runs, %d lines, %d decoded, %d targets of links; wrong names 0, wrong targets 0, lost bytes 0 unless said above",
		runs.Load(), lines.Load(), decoded.Load(), targets.Load())
	if decoded.Load() < lines.Load()/4 || targets.Load() < lines.Load()/100 {
		t.Error("too few lines were decoded to tell anything")
	}
}

// soakNames makes files and adds the lines for them to truth, with what they are in plain.
// There are usual names, long names, names with control characters, names that are not
// valid UTF-8, and links.
func soakNames(t *testing.T, m *mount, truth map[string]string) {
	t.Helper()
	for d := range 4 {
		for f := range 20 {
			for _, name := range []string{fmt.Sprintf("file %d", f), fmt.Sprintf("tab\t%d\n", f),
				long(fmt.Sprintf("long %d ", f), 200), fmt.Sprintf("bad \xff%d", f), fmt.Sprintf("bad \xfe%d", f)} {
				path := fmt.Sprintf("dir %d/%s", d, name)
				create(t, m.Plain, path, "file 1")
				truth[m.cipherOf(t, path)] = path
			}
			path, target := fmt.Sprintf("dir %d/link %d", d, f), fmt.Sprintf("file %d of %s", f, path.Base(m.Plain))
			create(t, m.Plain, path, "-> "+target)
			cipher := m.encrypt(t, path)
			truth[cipher+" -> "+m.target(t, cipher)] = path + " -> " + target
		}
	}
}

// soakRun runs one filter over some thousand lines. It returns the number of lines that
// came out, of those that are decoded, and of targets of links.
func soakRun(random *rand.Rand, args []string, truth map[string]string, all []string) (n, decoded, links int, err error) {
	var in bytes.Buffer
	var asked []string
	for range 2000 {
		line := all[random.IntN(len(all))]
		asked = append(asked, line)
		fmt.Fprintf(&in, "*deleting   %s\n", line)
	}
	cmd := exec.Command(program, args...)
	cmd.Env = programEnv()
	var out bytes.Buffer
	cmd.Stdout = &out
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 0, 0, 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, 0, 0, err
	}
	for rest := in.Bytes(); len(rest) > 0; {
		k := min(len(rest), 1+random.IntN(8000))
		if _, err := stdin.Write(rest[:k]); err != nil {
			return 0, 0, 0, err
		}
		rest = rest[k:]
		time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		return 0, 0, 0, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != len(asked) {
		return 0, 0, 0, fmt.Errorf("%d lines came out of %d", len(lines), len(asked))
	}
	for i, line := range lines {
		line, _ = strings.CutPrefix(line, "*deleting   ")
		name, target, _ := strings.Cut(line, " -> ")
		cipher, text, _ := strings.Cut(asked[i], " -> ")
		plain, want, _ := strings.Cut(escape.String(truth[asked[i]]), " -> ")
		switch {
		case name != plain && name != cipher && name != path.Dir(plain)+"/"+path.Base(cipher), target != want && target != text:
			return 0, 0, 0, fmt.Errorf("line %d is %q, want %q or %q", i, line, truth[asked[i]], asked[i])
		case name == plain:
			decoded++
		}
		if want != "" && target == want {
			links++
		}
	}
	return len(lines), decoded, links, nil
}
