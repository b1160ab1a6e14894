package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
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
// renamed, deleted and replaced, the plain directory hangs, and others mount something.

// TestTrustBytes shows a name that is not UTF-8 with its exact bytes or not at all: not
// with those of another one that looks the same in JSON, once it is gone.
func TestTrustBytes(t *testing.T) {
	const ff, fe, literal = "bad\xff", "bad\xfe", "bad\ufffd"
	tests := table(t, "trust/bytes.txt")
	m, base := mountNew(t, servers(t)[0], nil), shortDir(t)
	early, late, wrong := filepath.Join(base, "early"), filepath.Join(base, "late"), filepath.Join(base, "wrong")
	var before, after, hidden transcript
	for _, tt := range tests {
		dir := tt[0]
		create(t, m.Plain, dir+"/"+ff, "file 1")
		create(t, wrong, dir+"/"+fe, "file 1")
		cipher, shown := m.cipherOf(t, dir+"/"+ff), dir+`/bad\#377`
		before.add(cipher, shown)
		hidden.add(cipher, dir+"/"+path.Base(cipher))
		if !strings.Contains(tt[2], ff) {
			shown = dir + "/" + path.Base(cipher)
		}
		after.add(cipher, shown)
	}
	settle()
	m.wantDecoded(t, len(tests), before, "-map", early)
	for _, tt := range tests {
		cmd := exec.Command("sh", "-c", tt[1])
		cmd.Dir, cmd.Env = filepath.Join(m.Plain, tt[0]), append(os.Environ(), "FF="+ff, "FE="+fe, "LITERAL="+literal)
		check(t, cmd.Run())
	}
	shown, _ := pretty(t, []string{"-map", late, m.Sock, m.Dir}, []byte(after.input()))
	after.decoded(t, shown) // with what the kernel remembers of the view
	settle()
	for _, tt := range tests {
		for name := range strings.FieldsSeq(tt[2]) {
			after.add(m.cipherOf(t, tt[0]+"/"+name), tt[0]+"/"+escape.String(name))
		}
	}
	m.wantDecoded(t, len(after.raw), after, "-map", late)
	m.wantDecoded(t, len(tests), before, "-map", early) // what was known is known for ever
	shown, _, status := filtered([]string{"-strict", "-plain", wrong, m.Sock, m.Dir}, hidden.input())
	if status != exitEncrypted || shown != hidden.output() {
		t.Errorf("with the wrong -plain: status %d, shown as %q", status, shown)
	}
}

// TestTrustHangs stops the file system behind the plain directory: what needs files
// stays encrypted, after one timeout in all, and comes back.
func TestTrustHangs(t *testing.T) {
	base, s := shortDir(t), servers(t)[0]
	below := mountForward(t, s, filepath.Join(base, "cipher"), filepath.Join(base, "plain"))
	for path, state := range map[string]string{
		"Icon\r": "file 1", "dir/Icon\r": "file 1", "link": "-> dir/Icon", "file": "file 1", "bad\xff": "file 1",
	} {
		create(t, below.Plain, path, state)
	}
	m := mountReverse(t, s, below.Plain, filepath.Join(base, "view"))
	lines := func(text string) []string { return strings.Split(m.fill(t, text), "\n") }
	back := transcript{lines("{link} -> {@link}\n{Icon\r}\n{bad\xff}"), []string{"link -> dir/Icon", `Icon\#015`, `bad\#377`}}
	hung := transcript{raw: lines("{gone\r}\n{Icon\r}\n{bad\xff}\n{dir/Icon\r}")}
	hung.plain = append(slices.Clone(hung.raw[:3]), `dir/Icon\#015`) // the directory confirms that name
	settle()
	const timeout = time.Second
	f := startFilter(t, "-timeout", timeout.String(), m.Sock, m.Dir)
	f.comesBack(back.part(0, 1))
	below.signal(t, syscall.SIGSTOP)
	defer below.signal(t, syscall.SIGCONT)
	start := time.Now()
	for range 10 {
		if got := f.ask(hung.input()); got != hung.output() {
			t.Errorf("shown as %q, want %q", got, hung.output())
		}
	}
	if d := time.Since(start); d > 3*timeout {
		t.Errorf("40 lines took %v, want one timeout of %v", d, timeout)
	}

	below.signal(t, syscall.SIGCONT)
	f.comesBack(back)
	f.quit()
}

// bind mounts a directory once more, at another one, until the test ends or unmount is
// called.
func bind(t *testing.T, from, at string) (unmount func()) {
	t.Helper()
	check(t, unix.Mount(from, at, "", unix.MS_BIND, ""))
	unmount = sync.OnceFunc(func() { unix.Unmount(at, unix.MNT_DETACH) })
	t.Cleanup(unmount)
	return unmount
}

// TestTrustAlike has names that are the same in every directory: only paths that there are
// get into the index, whatever the text has, and wherever MOUNT lies.
func TestTrustAlike(t *testing.T) {
	m := mountNew(t, servers(t)[0], map[string]string{"link": "-> dir"}, "-deterministic-names")
	for _, tt := range table(t, "trust/alike.txt") {
		if len(tt) == 2 {
			create(t, m.Plain, tt[0], tt[1])
			continue
		}
		name, mount, text := tt[0], m.Dir, tt[2]
		if tt[1] != "" {
			mount = filepath.Join(mount, m.encrypt(t, tt[1]))
		}
		index := filepath.Join(shortDir(t), "index")
		shown, _ := pretty(t, []string{"-map", index, m.Sock, mount}, []byte(m.fill(t, text)))
		if want := strings.NewReplacer("{", "", "}", "").Replace(text); shown != want {
			t.Errorf("%s: got\n%swant\n%s", name, shown, want)
		}
		for line := range strings.Lines(read(t, index)) {
			_, plain, _ := strings.Cut(strings.TrimSpace(line), "\t")
			if _, err := os.Lstat(filepath.Join(m.Plain, plain)); err != nil {
				t.Errorf("%s: the index has %q, which does not exist", name, plain)
			}
		}
		if read(t, index) == "" && name != "a deleted directory" {
			t.Errorf("%s: the index has nothing", name)
		}
	}
}

// A foreign is the root of a FUSE file system of another user. For the files of a victim, it
// hands out their inode numbers and change times, with other names and targets.
type foreign struct {
	fusefs.Inode
	attrs        map[string]fuse.Attr // those of the victim; "" is its root
	hangs        chan struct{}        // if it hangs, until this is closed
	looks, names atomic.Int64         // all, and those that tell a name
}

func (f *foreign) OnAdd(ctx context.Context) {
	for name, a := range f.attrs {
		var node fusefs.InodeEmbedder = &fusefs.MemRegularFile{Attr: a}
		if name == "link" {
			node = &fusefs.MemSymlink{Attr: a, Data: []byte("/etc/EVIL")}
		}
		if name != "" {
			f.AddChild(name, f.NewPersistentInode(ctx, node, fusefs.StableAttr{Mode: a.Mode &^ 0o7777, Ino: a.Ino}), true)
		}
	}
}

func (f *foreign) look() {
	f.looks.Add(1)
	if f.hangs != nil {
		<-f.hangs
	}
}

func (f *foreign) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	f.look()
	out.Attr = f.attrs[""]
	return 0
}

func (f *foreign) Lookup(_ context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	f.names.Add(1)
	f.look()
	out.Attr = f.attrs[name]
	if child := f.GetChild(name); child != nil {
		return child, 0
	}
	return nil, syscall.ENOENT
}

// mountForeign mounts a foreign at a directory, as a user other than root would, with the
// files of the directory victim. access is "allow_other" if other users may look into it.
func mountForeign(t *testing.T, victim, fstype, source, at string, hangs bool, access string) *foreign {
	t.Helper()
	f := &foreign{attrs: map[string]fuse.Attr{}}
	for name, shown := range map[string]string{"": "", "link": "link", "M\xfcller": "M\xf6ller"} {
		fi, err := os.Lstat(filepath.Join(victim, name))
		check(t, err)
		var a fuse.Attr
		a.FromStat(fi.Sys().(*syscall.Stat_t))
		f.attrs[shown] = a
	}
	if hangs {
		f.hangs = make(chan struct{})
	}
	check(t, os.MkdirAll(at, 0o755))
	fd, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	check(t, err)
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=65534,group_id=65534,%s", fd, access)
	check(t, unix.Mount(source, at, fstype, unix.MS_NOSUID|unix.MS_NODEV, options))
	server, err := fuse.NewServer(fusefs.NewNodeFS(f, &fusefs.Options{}), fmt.Sprint("/dev/fd/", fd), &fuse.MountOptions{})
	check(t, err)
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
	need(t, "root", "fuse")
	const view, plain, above, below = "view", "users/plain", "users", "users/plain/dir"
	tests := table(t, "trust/foreign.txt")
	base, mounts := shortDir(t), map[string]*mount{}
	for _, tt := range tests {
		name, mount, at, dir := tt[0], mountReverse, plain, view
		if strings.HasPrefix(name, "forward") {
			mount, at, dir = mountForward, view, plain
		}
		m := mount(t, servers(t)[0], filepath.Join(base, name, at), filepath.Join(base, name, dir))
		for path, state := range map[string]string{"link": "-> right", "M\xfcller": "file 1", "file": "file 1"} {
			create(t, m.Plain, path, state)
			create(t, m.Plain, "dir/"+path, state)
		}
		mounts[name] = m
	}
	settle()
	for _, tt := range tests {
		name, fstype, source, at, want := tt[0], tt[1], tt[2], tt[3], int(tt[4][0]-'0')
		hangs := strings.HasSuffix(name, "hangs")
		t.Run(name, func(t *testing.T) {
			m, dir := mounts[name], filepath.Join(base, name)
			under := map[string]string{below: "dir/"}[at] // the files that they have, too
			var tr transcript
			tr.add(m.fill(t, "{"+under+"file}"), under+"file")
			tr.add(m.fill(t, "{"+under+"link} -> {@"+under+"link}"), under+"link -> right")
			tr.add(m.fill(t, "{"+under+"M\xfcller}"), under+`M\#374ller`)
			before := startFilter(t, "-timeout", "2s", m.Sock, m.Dir)
			before.comesBack(tr.part(0, 1)) // what was shown once is remembered
			if hangs && at == plain {
				settle() // the kernel knows nothing of the view any more
			}
			f := mountForeign(t, filepath.Join(m.Plain, under), fstype, filepath.Join(dir, source), filepath.Join(dir, at), hangs, "allow_other")
			if at != above { // on a path through a directory of theirs, they know the names
				tr.decoded(t, before.ask(tr.input()))
			}
			before.quit()
			index := filepath.Join(shortDir(t), "index")
			said := m.wantDecoded(t, want, tr, "-timeout", "2s", "-map", index)
			if (said == "") != (want == 3 || at == below) || strings.Contains(said, "gocryptfs stopped") {
				t.Errorf("stderr: %s", said)
			}
			looks, names := f.looks.Load(), f.names.Load()
			itself := strings.HasPrefix(at, plain) && strings.HasPrefix(name, "reverse") // gocryptfs looks at its plain directory
			if (looks > 0 || names > 0) && !itself {
				t.Errorf("the other user's server was asked %d times, for %d names", looks, names)
			}
			if got := read(t, index); strings.Contains(got, `\#366`) || strings.Contains(got, "EVIL") {
				t.Errorf("the index has %q", got)
			}
		})
	}
	m, theirs := mounts["forward"], filepath.Join(base, "theirs")
	mountForeign(t, m.Plain, "fuse.gocryptfs-reverse", base, theirs, false, "default_permissions")
	_, said := pretty(t, []string{m.Sock, theirs}, nil)
	const hint = "permission denied\n" + program + ": hint: run as the user who mounted it, or mount it with -allow_other"
	if !strings.Contains(said, hint) {
		t.Errorf("MOUNT may not be looked at: stderr: %s", said)
	}
}

// A twin is a file system with a link, and a file with a name that looks the same in JSON as
// that of another twin.
type twin struct {
	m                      *mount
	plain, target, badName string
	lines                  transcript
}

// newTwins mounts file systems at directories of base, and a view of each. They have the same
// inode numbers and change times, since they are filled within one tick of the clock, and the
// same configuration of gocryptfs.
func newTwins(t *testing.T, base string, dirs ...string) (twins []*twin) {
	t.Helper()
	need(t, "root")
	first := mountNew(t, servers(t)[0], nil)
	conf := []byte(read(t, filepath.Join(first.Plain, ".gocryptfs.reverse.conf")))
	for i, dir := range dirs {
		tw := &twin{plain: filepath.Join(base, dir), target: fmt.Sprint("the-target-", i)}
		tw.badName = "bad" + string([]byte{0xff - byte(i)})
		check(t, os.Mkdir(tw.plain, 0o755))
		t.Cleanup(func() { unix.Unmount(tw.plain, unix.MNT_DETACH) })
		twins = append(twins, tw)
	}
	ctlsocktest.Eventually(t, "all are alike", func() bool {
		for _, tw := range twins {
			unix.Unmount(tw.plain, 0)
			check(t, unix.Mount("twin", tw.plain, "tmpfs", 0, "mode=755"))
		}
		for _, tw := range twins {
			check(t, errors.Join(
				os.WriteFile(tw.plain+"/.gocryptfs.reverse.conf", conf, 0o600), os.Mkdir(tw.plain+"/dir", 0o755),
				os.Symlink(tw.target, tw.plain+"/dir/link"), os.WriteFile(tw.plain+"/dir/"+tw.badName, nil, 0o644)))
		}
		seen := map[string]bool{}
		for _, tw := range twins {
			files := ""
			for _, name := range []string{".", "dir", "dir/link", "dir/" + tw.badName} {
				fi, err := os.Lstat(filepath.Join(tw.plain, name))
				check(t, err)
				st := fi.Sys().(*syscall.Stat_t)
				files += fmt.Sprintln(st.Ino, st.Ctim)
			}
			seen[files] = true
		}
		return len(seen) == 1
	})
	for _, tw := range twins {
		tw.m = mountReverse(t, servers(t)[0], tw.plain, tw.plain+" view")
		tw.lines.add(tw.m.fill(t, "{dir/link} -> {@dir/link}"), "dir/link -> "+tw.target)
		tw.lines.add(tw.m.cipherOf(t, "dir/"+tw.badName), "dir/"+escape.String(tw.badName))
	}
	return twins
}

// TestTrustTwins has file systems with the same inode numbers and change times: what
// one of them has is never shown for the other.
func TestTrustTwins(t *testing.T) {
	base := shortDir(t)
	twins := newTwins(t, base, "one", "two", "os,1", "os_1")
	one, two := twins[0], twins[1]
	settle()

	t.Run("mounted during a look", func(t *testing.T) {
		f := startFilter(t, one.m.Sock, one.m.Dir)
		f.comesBack(one.lines)
		settle() // the kernel knows nothing of the view any more
		one.m.signal(t, syscall.SIGSTOP)
		defer one.m.signal(t, syscall.SIGCONT)
		before, link := len(f.out.String()), two.lines.part(0, 1)
		f.send(link.input())
		ctlsocktest.Eventually(t, "the look hangs", func() bool {
			return slices.ContainsFunc(ours(), func(stack string) bool {
				return strings.Contains(stack, "[syscall") && strings.Contains(stack, "/decode/tree.")
			})
		})
		time.Sleep(50 * time.Millisecond)
		unmount := bind(t, two.m.Dir, one.m.Dir)
		one.m.signal(t, syscall.SIGCONT)
		shown := f.until(func(got string) bool { return strings.HasSuffix(got[before:], "\n") })
		link.decoded(t, shown[before:])
		f.comesBack(two.lines)
		unmount()
		f.comesBack(one.lines)
		f.quit()
	})

	t.Run("mounted inside after a look", func(t *testing.T) {
		f := startFilter(t, one.m.Sock, one.m.Dir)
		f.comesBack(one.lines)
		for range 20 {
			f.ask(one.lines.input())
			before := len(f.out.String())
			unmount := bind(t, two.plain+"/dir", one.plain+"/dir")
			f.ask(two.lines.input())
			two.lines.decoded(t, f.out.String()[before:])
			unmount()
		}
		f.quit()
	})

	t.Run("in another namespace", func(t *testing.T) {
		need(t, "namespaces")
		for i, flags := range []string{"", "", "-plain " + one.plain + "/.. ", "-plain " + base + "/kept "} {
			script := fmt.Sprintf("mkdir -p %[1]s/kept; mount --bind %[2]s %[1]s/kept; mount --bind %[3]s %[2]s; %[4]s %[5]s%[6]s '%[7]s'",
				base, one.plain, two.plain, program, flags, one.m.Sock, one.m.Dir)
			cmd := exec.Command("unshare", [...]string{"-m", "-mpf"}[i%2], "sh", "-c", script)
			var errs bytes.Buffer
			cmd.Stdin, cmd.Stderr = strings.NewReader(one.lines.input()), &errs
			out, err := cmd.Output()
			check(t, err)
			right, want := one.lines.decoded(t, string(out)), 0
			if strings.Contains(flags, "kept") {
				want = 2
			}
			if right != want || (want == 0) != strings.Contains(errs.String(), "-plain") {
				t.Errorf("%q: %d lines are decoded, want %d; stderr: %s", flags, right, want, &errs)
			}
		}
	})

	for _, tw := range twins[2:] { // a comma and an underscore: two fit
		said := tw.m.wantDecoded(t, 0, tw.lines)
		if !strings.Contains(said, "-plain") || !strings.Contains(said, twins[2].plain) || !strings.Contains(said, twins[3].plain) {
			t.Errorf("%s: %s", tw.plain, said)
		}
		tw.m.wantDecoded(t, 2, tw.lines, "-plain", tw.plain)
	}
}

// TestTrustNonblocking has another process that shares stdin or stdout make it
// non-blocking.
func TestTrustNonblocking(t *testing.T) {
	pipe := func() (r, w *os.File) {
		var fds [2]int
		check(t, unix.Pipe2(fds[:], unix.O_CLOEXEC))
		return os.NewFile(uintptr(fds[0]), "reader"), os.NewFile(uintptr(fds[1]), "writer")
	}
	calls := func() (n int) { // of read and write
		var reads, writes int
		_, err := fmt.Sscanf(read(t, "/proc/self/io"), "rchar: %d\nwchar: %d\nsyscr: %d\nsyscw: %d", &n, &n, &reads, &writes)
		check(t, err)
		return reads + writes
	}
	in, inWrite := pipe()
	outRead, out := pipe()
	// Go would notice a file that is non-blocking at first.
	check(t, errors.Join(unix.SetNonblock(int(in.Fd()), true), unix.SetNonblock(int(out.Fd()), true)))
	before := calls()
	go func() {
		defer out.Close()
		run([]string{"/nonexistent/sock", t.TempDir()}, waitingFile{in}, waitingFile{out}, io.Discard)
	}()
	want := strings.Repeat("no name in here\n", 100_000)
	go func() {
		defer inWrite.Close()
		for part := range slices.Chunk([]byte(want), 200_000) {
			inWrite.Write(part)
			time.Sleep(20 * time.Millisecond) // nothing to read meanwhile
		}
	}()
	time.Sleep(100 * time.Millisecond) // the pipe is full meanwhile
	got, err := io.ReadAll(outRead)
	if err != nil || string(got) != want {
		t.Errorf("%v, %d bytes of %d came out", err, len(got), len(want))
	}
	if n := calls() - before; n > 10_000 {
		t.Errorf("%d reads and writes, most of them in vain", n)
	}
}

// TestRandomWords gives words to a real server that could be names but are not, with and
// without suffixes, prefixes and spelled-out bytes before them. Each is asked for at the root
// and in a directory in which it could lie. One in 280 questions gets an answer.
func TestRandomWords(t *testing.T) {
	const n = 6000
	s, dir := servers(t)[0], shortDir(t)
	prefixes := []string{"", "-", "._", "2026-01-01_", `\n`, `\x0a`, "#012", "%2F", "=3D", "^M", `\u001b[32m`, ".f..t....x"}
	suffixes := []string{"", "-2026-11-23", "_bak", "-old", "~"}
	for name, m := range map[string]*mount{
		"reverse":       mountNew(t, s, nil),
		"forward":       mountForward(t, s, filepath.Join(dir, "cipher"), filepath.Join(dir, "plain")),
		"deterministic": mountNew(t, s, nil, "-deterministic-names"),
	} {
		t.Run(name, func(t *testing.T) {
			create(t, m.Plain, "a dir/below", "dir")
			below := m.encrypt(t, "a dir/below")
			var tr transcript
			random, noise := rand.NewChaCha8([32]byte{}), make([]byte, 1<<20)
			for i := range n {
				random.Read(noise[:32]) // never fails
				word := base64.RawURLEncoding.EncodeToString(noise[:16])
				if i%2 == 1 {
					word = hex.EncodeToString(noise[:32])
				}
				word = prefixes[i%len(prefixes)] + word + suffixes[i%len(suffixes)]
				tr.add("Only in "+below+": "+word, "Only in a dir/below: "+word)
			}
			random.Read(noise)
			for _, line := range append(strings.Split(string(noise), "\n"), below) {
				tr.add(line, strings.Replace(line, below, "a dir/below", 1))
			}
			if said := m.wantDecoded(t, len(tr.raw), tr); said != "" {
				t.Errorf("stderr: %s", said)
			}
		})
	}
}

// TestSoak runs filters over and over, with input in random pieces, while files change, and
// gocryptfs hangs or is mounted again. Each line that comes out must be right or have stayed
// encrypted, and each line of an index be right.
func TestSoak(t *testing.T) {
	limit, err := time.ParseDuration(os.Getenv("SOAKTIME"))
	if err != nil {
		t.Skip("run by make soak")
	}
	for name, begin := range map[string]func(s *soak){"twins": soakTwins, "copies": soakCopies} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &soak{t: t, base: shortDir(t), names: map[string]string{}, old: map[string]string{}}
			s.dir = s.base + "/mount"
			begin(s)
			s.end = time.Now().Add(limit)
			s.run()
		})
	}
}

// A soak is what the filters are run on.
type soak struct {
	t         *testing.T
	base, dir string // dir is MOUNT
	m         *mount
	end       time.Time
	mount     func(turn int) *mount
	change    func(random *rand.Rand) // makes one change of the files

	all   transcript        // an entry may have several lines
	names map[string]string // plain paths by cipher path, as in an index
	old   map[string]string // what an index may have for a name below a heading: that of elsewhere

	lines, decoded, targets, indexed, elsewhere atomic.Int64
}

// use mounts the file system, and has it serve at the same socket as before.
func (s *soak) use(turn int) {
	s.m = s.mount(turn)
	os.Remove(s.base + "/sock")
	check(s.t, os.Symlink(s.m.Sock, s.base+"/sock"))
}

// know takes note of the plain path of a cipher path.
func (s *soak) know(cipher, plain string) {
	for ; plain != "."; cipher, plain = path.Dir(cipher), path.Dir(plain) {
		s.names[cipher] = strings.ReplaceAll(escape.String(plain), "\t", `\#011`)
	}
}

func (s *soak) run() {
	var group sync.WaitGroup
	group.Go(func() {
		random := rand.New(rand.NewPCG(1, 1))
		for n := 0; time.Now().Before(s.end); n++ {
			s.change(random)
			time.Sleep(time.Millisecond)
			if n%100 == 0 { // the kernel remembers a change time for a second
				time.Sleep(time.Duration(random.IntN(4000)) * time.Millisecond)
			}
		}
	})
	for i := range 4 {
		group.Go(func() { s.filters(i) })
	}
	for turn := 1; time.Now().Before(s.end); turn++ { // gocryptfs comes and goes
		time.Sleep(3 * time.Second)
		s.m.signal(s.t, syscall.SIGSTOP)
		time.Sleep(time.Second)
		s.m.signal(s.t, syscall.SIGCONT)
		time.Sleep(time.Second)
		ctlsocktest.Eventually(s.t, "the view is unmounted", func() bool { // not while it is looked at
			return exec.Command("fusermount3", "-u", s.m.at).Run() == nil
		})
		<-s.m.done
		s.m.process = nil
		time.Sleep(time.Duration(turn%2) * time.Second)
		s.use(turn)
	}
	group.Wait()
	known, _ := pretty(s.t, []string{"-map", s.base + "/index"}, []byte(s.all.input()))
	s.check(s.all, known, s.base+"/index")
	s.t.Logf("%d lines, %d decoded, %d targets of links, %d lines of an index, %d names of elsewhere, none wrong unless said above",
		s.lines.Load(), s.decoded.Load(), s.targets.Load(), s.indexed.Load(), s.elsewhere.Load())
	if s.decoded.Load() < s.lines.Load()/4 || s.targets.Load() < s.lines.Load()/200 {
		s.t.Error("too few lines were decoded to tell anything")
	}
}

// filters runs a filter again and again: 0 and 1 share an index, 2 has a new one for each run.
func (s *soak) filters(number int) {
	random := rand.New(rand.NewPCG(2, uint64(number)))
	for time.Now().Before(s.end) && !s.t.Failed() {
		var tr transcript
		for i := range s.all.raw {
			for range random.IntN(5) {
				tr.add(s.all.raw[i], s.all.plain[i])
			}
		}
		index := [...]string{s.base + "/index", s.base + "/index", s.base + "/fresh", ""}[number]
		args := []string{"-timeout", "500ms", s.base + "/sock", s.dir, "-map", index}
		f := startProcess(s.t, exec.Command(program, args[:len(args)-number/3*2]...))
		for rest := []byte(tr.input()); len(rest) > 0; {
			n := min(len(rest), 1+random.IntN(8000))
			f.send(string(rest[:n]))
			rest = rest[n:]
			time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
		}
		if status := f.quit(); status != exitOK {
			s.t.Errorf("status %d: %s", status, &f.errs)
		}
		if s.check(tr, f.out.String(), index); number == 2 {
			os.Remove(index)
		}
	}
}

// check compares output with a transcript, and an index with what is known.
func (s *soak) check(tr transcript, out, index string) {
	tr = transcript{strings.Split(strings.Join(tr.raw, "\n"), "\n"), strings.Split(strings.Join(tr.plain, "\n"), "\n")}
	text := ""
	if index != "" {
		text = read(s.t, index)
		for i, line := range strings.Split(out, "\n") {
			if i < len(tr.raw) && line != tr.plain[i] && line != "" && line == s.old[tr.raw[i]] {
				tr.plain[i] = line
				s.elsewhere.Add(1)
			}
		}
	}
	for line := range strings.Lines(text) {
		cipher, plain, ended := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if s.indexed.Add(1); plain != s.names[cipher] && ended {
			s.t.Errorf("the index has %q, want %q", line, s.names[cipher])
		}
	}
	s.lines.Add(int64(len(tr.raw)))
	s.decoded.Add(int64(tr.decoded(s.t, out)))
	s.targets.Add(int64(strings.Count(out, " -> file ")))
}

// A soakFile is a file, and what the text has after its name if it is a link: an arrow and its
// target, encrypted and not.
type soakFile struct{ cipher, plain, text, shown string }

const soakDirs = 8

// fill makes files, some of which look the same in JSON, and text about them in the order of
// directories, as rsync has it.
func (s *soak) fill() (files []soakFile) {
	for i := range 20 * soakDirs {
		for _, name := range []string{"file %d", "tab\t%d\n", long("long %d ", 200), "bad \xff%d", "bad \xfe%d", "link %d"} {
			f, state := soakFile{plain: fmt.Sprintf("dir %d/"+name, i/20, i%20)}, "file 1"
			if strings.HasPrefix(name, "link") {
				state = fmt.Sprintf("-> file %d of %s", i, path.Base(s.m.Plain))
			}
			create(s.t, s.m.Plain, f.plain, state)
			if f.cipher = s.m.cipherOf(s.t, f.plain); state != "file 1" {
				f.text, f.shown = " -> "+s.m.target(s.t, f.cipher), " "+state
			}
			s.know(f.cipher, f.plain)
			s.all.add("*deleting   "+f.cipher+f.text, "*deleting   "+escape.String(f.plain)+f.shown)
			files = append(files, f)
		}
	}
	return files
}

func exchange(one, other string) error {
	return unix.Renameat2(unix.AT_FDCWD, one, unix.AT_FDCWD, other, unix.RENAME_EXCHANGE)
}

// soakTwins shows two plain directories in turn that have the same names and other links, or
// one with a directory of the other inside. Files are renamed, deleted and replaced.
func soakTwins(s *soak) {
	const conf = "/.gocryptfs.reverse.conf"
	plains := []string{s.base + "/one", s.base + "/two"}
	s.mount = func(turn int) *mount { return mountReverse(s.t, servers(s.t)[0], plains[turn%2], s.dir) }
	s.use(1)
	files := s.fill()
	s.m.unmount(s.t)
	create(s.t, plains[0], "dir 0/file", "file 1")
	check(s.t, os.WriteFile(plains[0]+conf, []byte(read(s.t, plains[1]+conf)), 0o600))
	s.use(0)
	files = append(files, s.fill()...)
	s.change = func(random *rand.Rand) {
		f, to, turn := files[random.IntN(len(files))], files[random.IntN(len(files))], random.IntN(2)
		file, other := filepath.Join(plains[turn], f.plain), filepath.Join(plains[random.IntN(2)], to.plain)
		switch change := random.IntN(500); {
		case change == 0 && os.Geteuid() == 0: // files of the one inside the other, with the same names
			unmount := bind(s.t, plains[1-turn]+"/dir 0", plains[turn]+"/dir 0")
			time.Sleep(time.Second)
			unmount()
		case change < 100:
			os.RemoveAll(file)
		case change < 200:
			os.Rename(file, other)
		case change < 300:
			exchange(file, other)
		case f.shown == "":
			os.MkdirAll(filepath.Dir(file), 0o755)
			os.WriteFile(file, nil, 0o644)
		default:
			os.MkdirAll(filepath.Dir(file), 0o755)
			os.Symlink(strings.TrimPrefix(f.shown, " -> "), file)
		}
	}
}

// soakCopies has whoever writes the storage of a forward file system copy and exchange encrypted
// names. One in 280 decrypts to junk in another directory: that is the name of the file at that
// path, but not of the name alone.
func soakCopies(s *soak) {
	s.mount = func(int) *mount { return mountForward(s.t, servers(s.t)[0], s.dir, s.base+"/plain") }
	s.use(0)
	files := s.fill()
	copies := func(visit func(f soakFile, dir, to string)) {
		for _, f := range files {
			for i := range soakDirs {
				dir := path.Dir(files[i*len(files)/soakDirs].cipher)
				if to := dir + "/" + path.Base(f.cipher); to != f.cipher {
					visit(f, dir, to)
				}
			}
		}
	}
	do := func(f func(from, to string) error, from, to string) { // with the other file of a long name
		f(s.dir+"/"+from, s.dir+"/"+to)
		f(s.dir+"/"+from+".name", s.dir+"/"+to+".name")
	}
	copies(func(f soakFile, _, to string) { do(os.Link, f.cipher, to) })
	shown, _ := filepath.Glob(s.m.Plain + "/*/*")
	for _, file := range shown {
		plain := strings.TrimPrefix(file, s.m.Plain+"/")
		s.know(s.m.cipherOf(s.t, plain), plain)
	}

	var below transcript
	var pairs [][2]string
	remove := func(_, to string) error { return os.Remove(to) }
	copies(func(f soakFile, dir, to string) {
		if s.names[to] == "" && rand.IntN(200) > 0 { // most that are no name there
			do(remove, "", to)
			return
		}
		plain := strings.ReplaceAll(cmp.Or(s.names[to], s.names[dir]+"/"+path.Base(to)), `\#011`, "\t")
		s.all.add("*deleting   "+to+f.text, "*deleting   "+plain+f.shown)
		below.add(dir+":\n"+path.Base(to), s.names[dir]+":\n"+path.Base(plain))
		pairs = append(pairs, [2]string{f.cipher, to})
	})
	s.t.Logf("%d names, and %d of copies", len(files), len(shown)-len(files))
	for i, f := range files {
		name := path.Base(f.cipher)
		s.old[name] = escape.String(path.Base(f.plain))
		s.all.add(name+f.text, s.old[name]+f.shown)
		if strings.Contains(f.plain, "\xff") { // the next one is the same in JSON
			pairs = append(pairs, [2]string{f.cipher, files[i+1].cipher})
		}
	}
	rand.Shuffle(len(s.all.raw), func(i, j int) {
		s.all.raw[i], s.all.raw[j], s.all.plain[i], s.all.plain[j] = s.all.raw[j], s.all.raw[i], s.all.plain[j], s.all.plain[i]
	})
	s.all.raw, s.all.plain = append(s.all.raw, below.raw...), append(s.all.plain, below.plain...)
	changes := []func(one, other string) error{
		remove, os.Rename, exchange, os.Link, func(one, other string) error { return os.Link(other, one) },
		func(one, other string) error { return exec.Command("cp", "-aT", one, other).Run() },
	}
	s.change = func(random *rand.Rand) {
		pair := pairs[random.IntN(len(pairs))]
		do(changes[random.IntN(len(changes))], pair[0], pair[1])
		long := 12*random.IntN(len(files)/12) + 2 // it and the next one are given each other's name, or their own
		exchange(s.dir+"/"+files[long].cipher+".name", s.dir+"/"+files[long+6].cipher+".name")
	}
}
