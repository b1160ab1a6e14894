package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"gocryptfs-rsync-pretty/decode"
	"gocryptfs-rsync-pretty/decode/escape"
	"gocryptfs-rsync-pretty/decode/scan"

	"github.com/moby/sys/mountinfo"
)

// A plainTree is a model of a plain directory with its encrypted view. A file in one is
// the same inode as that in the other, as far as the system lets it be: a hard link.
//
// In both there is one directory. Its files have names that are not UTF-8 and look the
// same in JSON, and its links two targets each. While the tree looks at them, they
// change, as a script says.
type plainTree struct {
	t        testing.TB
	dir      string
	tree     *Tree
	inodes   map[uint64]uint64 // of links and directories of the view, and what they are
	script   []byte
	answered map[string]string // by cipher path, as the protocol has it
	blind    int               // this many next files seem to differ
}

// twin ends the names of a directory and of roots in which the first link leads to the second
// target.
const twin = " twin"

const encA = "ikFrxDZ5DfCpwm4Myx-3TA"

func encryptedName(i int) string { return fmt.Sprintf("%021dA", i) }

// The directory, and the last components of paths in it.
var (
	treeDir   = entry{encA, "dir"}
	treeNames = []entry{
		{encryptedName(1), "bad\xff"}, {encryptedName(2), "bad\xfe"}, {encryptedName(3), "bad\ufffd"},
		{encryptedName(4), "bell\a"}, {encryptedName(5), "name"},
	}
	treeLinks   = []entry{{encryptedName(6), "link"}, {encryptedName(7), "other"}}
	treeTargets = []string{"here", "there"}
)

type entry struct{ cipher, plain string }

// encryptedTarget has the length of one, and tells which link and target it belongs to.
func encryptedTarget(link entry, target string) string {
	return strings.Repeat("-", 20) + link.cipher[20:] + target + strings.Repeat("x", scan.MinTarget)
}

func newPlainTree(t testing.TB, script []byte) *plainTree {
	return newPlainTreeIn(t, t.TempDir(), script)
}

func newPlainTreeIn(t testing.TB, base string, script []byte) *plainTree {
	p := &plainTree{t: t, dir: base, script: script, inodes: map[uint64]uint64{}, answered: map[string]string{}}
	p.tree = newTree("", "", 50*time.Millisecond)
	p.tree.view = view{dir: filepath.Join(base, "view"), plain: filepath.Join(base, "plain")}
	p.tree.same, p.tree.links = p.same, p.links
	for i, dir := range []string{"/" + treeDir.cipher, "/" + treeDir.cipher + twin, twin + "/" + treeDir.cipher} {
		cipher, plain := p.tree.view.dir+dir, p.tree.view.plain+strings.Replace(dir, treeDir.cipher, treeDir.plain, 1)
		p.must(os.MkdirAll(cipher, 0o755), os.MkdirAll(plain, 0o755))
		p.pair(cipher, plain)
		if link, target := treeLinks[0], treeTargets[1]; i > 0 {
			cipher, plain = filepath.Join(cipher, link.cipher), filepath.Join(plain, link.plain)
			p.must(os.Symlink(encryptedTarget(link, target), cipher), os.Symlink(target, plain))
			p.pair(cipher, plain)
		}
	}
	p.tree.view.ids = p.tree.view.identify()
	p.answered[treeDir.cipher] = treeDir.plain
	for _, e := range append(treeNames, treeLinks...) {
		p.answered[treeDir.cipher+"/"+e.cipher] = treeDir.plain + "/" + string([]rune(e.plain))
	}
	return p
}

func (p *plainTree) cipher(name string) string {
	return filepath.Join(p.tree.view.dir, treeDir.cipher, name)
}

func (p *plainTree) plain(name string) string {
	return filepath.Join(p.tree.view.plain, treeDir.plain, name)
}

func (p *plainTree) must(errs ...error) {
	if err := errors.Join(errs...); err != nil {
		panic(err) // a look runs in a goroutine of its own
	}
}

// pair takes note that two entries are the same.
func (p *plainTree) pair(cipher, plain string) {
	c, err := os.Lstat(cipher)
	q, err2 := os.Lstat(plain)
	p.must(err, err2)
	p.inodes[inode(c)] = inode(q)
}

// same and links stand in for sameFile and readLinks. Meanwhile, the tree changes.
func (p *plainTree) same(encrypted, plain fs.FileInfo) bool {
	same := sameFile(encrypted, plain) || p.inodes[inode(encrypted)] == inode(plain)
	if p.blind > 0 {
		p.blind--
		same = false
	}
	p.next()
	return same
}

func (p *plainTree) links(cipher string, dir *os.Root, name string) (encrypted, target string, err error) {
	p.next()
	target, err = dir.Readlink(name)
	p.next()
	encrypted, encryptedErr := os.Readlink(cipher)
	p.next()
	return encrypted, target, errors.Join(err, encryptedErr)
}

// next does the next step of the script.
func (p *plainTree) next() {
	if len(p.script) > 0 {
		op := p.script[0]
		p.script = p.script[1:]
		p.change(op)
	}
}

// The kinds of changes. A byte of a script is one of these and, times 8, a name or a link,
// with another name or a target.
const (
	exchange = byte(iota) // a directory above the links and its twin; or nothing
	remove
	create
	rename       // to another name
	point        // a link to a target
	pointAndWait // until the clock has advanced
	wait
	hang
)

// named, renamed and pointed return the bytes for a change.
func named(kind byte, name int) byte       { return kind + 8*byte(name) }
func renamed(from, to int) byte            { return named(rename, from+to*len(treeNames)) }
func pointed(kind byte, link, to int) byte { return named(kind, link+2*to) }

// change changes the tree, in a way of some 40, or does nothing.
func (p *plainTree) change(op byte) {
	kind, a, b := op%8, int(op/8)%len(treeNames), int(op/8)/len(treeNames)%len(treeNames)
	link := treeLinks[int(op/8)%2]
	switch kind {
	case exchange:
		sides := []int{0, 2, 2, 1, 1}[a] // as a kernel that remembers the plain side shows it
		for _, dir := range []string{p.cipher(""), p.plain("")}[:sides] {
			if a%2 == 0 {
				dir = filepath.Dir(dir)
			}
			p.must(os.Rename(dir, dir+"~"), os.Rename(dir+twin, dir), os.Rename(dir+"~", dir+twin))
		}
	case remove:
		p.remove(treeNames[a])
	case create:
		p.remove(treeNames[a])
		p.must(os.WriteFile(p.plain(treeNames[a].plain), nil, 0o644))
		p.must(os.Link(p.plain(treeNames[a].plain), p.cipher(treeNames[a].cipher)))
	case rename:
		if _, err := os.Lstat(p.plain(treeNames[a].plain)); err == nil && a != b {
			p.must(os.Rename(p.plain(treeNames[a].plain), p.plain(treeNames[b].plain)))
			p.must(os.Rename(p.cipher(treeNames[a].cipher), p.cipher(treeNames[b].cipher)))
		}
	case point, pointAndWait:
		target := treeTargets[int(op/16)%2]
		p.must(p.point(p.plain(link.plain), target))
		p.must(p.point(p.cipher(link.cipher), encryptedTarget(link, target)))
		p.pair(p.cipher(link.cipher), p.plain(link.plain))
		if kind == pointAndWait {
			time.Sleep(clockStep + clockStep/4)
		}
	case wait:
		time.Sleep(clockStep + clockStep/4)
	case hang:
		if op > 0xf0 {
			time.Sleep(p.tree.timeout + clockStep) // it hangs
		}
	}
}

// point has a link lead to a target: one with that target takes its place, and the other
// one is kept, as somebody does who swaps them.
func (p *plainTree) point(at, target string) error {
	dir, name := filepath.Join(p.dir, "links"), filepath.Base(at)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if old, err := os.Readlink(at); err == nil {
		if err := os.Rename(at, filepath.Join(dir, name+old)); err != nil {
			return err
		}
	}
	if err := os.Symlink(target, filepath.Join(dir, name+target)); err != nil && !os.IsExist(err) {
		return err
	}
	return os.Rename(filepath.Join(dir, name+target), at)
}

func (p *plainTree) remove(e entry) {
	os.Remove(p.plain(e.plain))
	os.Remove(p.cipher(e.cipher))
}

// Prepare and Decrypt are those of a server, which knows all names, there or not.
func (*plainTree) Encrypt(string) (string, bool) { return "", false }

func (*plainTree) Prepare(string) bool { return true }

func (p *plainTree) Decrypt(cipher string) (string, bool) {
	plain, ok := p.answered[cipher]
	return plain, ok
}

// check has all names and targets decoded. What is shown has to be right; what stays
// encrypted is no fault. It returns how many are shown.
func (p *plainTree) check() (shown int) {
	p.t.Helper()
	var in strings.Builder
	var rights []string
	for _, e := range treeNames {
		in.WriteString(treeDir.cipher + "/" + e.cipher + "\n")
		rights = append(rights, escape.String(e.plain), e.cipher)
	}
	for _, l := range treeLinks {
		for _, target := range treeTargets {
			in.WriteString(treeDir.cipher + "/" + l.cipher + " -> " + encryptedTarget(l, target) + "\n")
			rights = append(rights, l.plain+" -> "+target, l.plain+" -> "+encryptedTarget(l, target))
		}
	}
	got := p.decode(in.String())
	for p.tree.isHung() { // it changes the tree until it ends
		time.Sleep(time.Millisecond)
	}
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	for i, line := range lines {
		switch strings.TrimPrefix(line, treeDir.plain+"/") {
		case rights[2*i]:
			shown++
		case rights[2*i+1]:
		default:
			p.t.Errorf("shown as %q, want %q or %q", line, rights[2*i], rights[2*i+1])
		}
	}
	if len(lines) != len(rights)/2 {
		p.t.Errorf("%d lines, want %d", len(lines), len(rights)/2)
	}
	return shown
}

func (p *plainTree) decode(text string) string {
	var out strings.Builder
	o := decode.Options{Names: p, Files: p.tree, Timeout: time.Minute}
	if _, err := decode.Copy(&out, strings.NewReader(text), o); err != nil {
		p.t.Fatal(err)
	}
	return out.String()
}

// FuzzTree changes files at any time. A name that is shown has to be that of its token,
// and a target that of its link.
func FuzzTree(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add([]byte{2, 10, 18, 26, 34, 4, 12, 6}, []byte{0, 4, 0, 20, 5, 21})
	f.Add([]byte{2, 26, 4, 13, 6}, []byte{0, 0, 0, 0, 0, 0, 21, 5})
	f.Add([]byte{2, 10, 6}, []byte{1, 3, 11, 19})
	f.Add([]byte{4, 12, 6}, []byte{0, 4, 20, 4, 20, 12, 28})
	f.Add([]byte{2, 4, 6}, []byte{0xff, 4, 20})
	f.Fuzz(func(t *testing.T, before, during []byte) {
		p := newPlainTree(t, during[:min(len(during), 64)])
		for _, op := range before[:min(len(before), 16)] {
			p.change(op)
			if op%8 == 6 {
				p.check()
			}
		}
		p.check()
	})
}

// TestTreeSwaps has a link get its other target, or a directory above it the place of its twin,
// at each moment of a look: long enough ago to be trusted, or there and back at once. In reverse
// mode only the plain side is looked at again.
func TestTreeSwaps(t *testing.T) {
	here, there := pointed(point, 0, 0), pointed(point, 0, 1)
	dir, roots, viewDir, viewRoot := named(exchange, 1), named(exchange, 2), named(exchange, 3), named(exchange, 4)
	coarse := coarseDir(t)
	var trees []*plainTree
	for at := range 32 {
		p := newPlainTreeIn(t, filepath.Join(coarse, fmt.Sprint(at)), append(make([]byte, at/2), there, here))
		p.tree.view.reverse = at%2 == 0
		p.change(there)
		p.change(here)
		p.check()
		scripts := [][]byte{{pointed(pointAndWait, 0, 1)}, {dir}, {dir, dir}, {roots}, {roots, roots}, {viewDir}, {viewDir, viewDir}, {viewRoot}}
		for _, script := range scripts[:5+3*(at%2)] {
			p := newPlainTree(t, append(make([]byte, at/2), script...))
			p.tree.view.reverse = at%2 == 0
			p.change(here)
			trees = append(trees, p)
		}
	}
	time.Sleep(2 * clockStep)
	for _, p := range trees {
		p.check()
	}
	p := newPlainTree(t, nil)
	for _, op := range []byte{named(create, 0), named(create, 3), named(create, 4), here, pointed(point, 1, 0), wait} {
		p.change(op)
	}
	if n := p.check(); n != 5 {
		t.Errorf("%d names and targets are shown of what is there and does not change, want 5", n)
	}
}

// TestTreeCloses keeps directories open for a moment after a look, at most until another view is
// found: they could not be unmounted.
func TestTreeCloses(t *testing.T) {
	p := newPlainTree(t, nil)
	for i, end := range []func(){p.tree.forget, func() { time.Sleep(10 * clockStep) }} {
		dir, err := os.OpenRoot(p.tree.view.plain)
		p.must(err)
		p.tree.keep(trail{{dir: dir}})
		end()
		if _, err := dir.Stat("."); err == nil {
			t.Errorf("%d: still open", i)
		}
	}
}

// TestTreeRenames gives a file the name of another one that looks the same in JSON, at each
// moment of a look at a directory that has been quiet for long. Its change time stays, as on
// some file systems.
func TestTreeRenames(t *testing.T) {
	var trees []*plainTree
	for i := range 5 * 9 {
		at, from, to := i/9, i%9/3, i%3
		p := newPlainTree(t, append(make([]byte, at), renamed(from, to)))
		for name := range 3 {
			p.change(named(create, name))
			p.pair(p.cipher(treeNames[name].cipher), p.plain(treeNames[name].plain))
		}
		trees = append(trees, p)
	}
	time.Sleep(entryTimeout + clockStep)
	for _, p := range trees {
		p.check()
	}
}

// TestTreeTick takes nothing for proved in a directory that has just changed: it may be
// changing still, at the same time of a coarse clock.
func TestTreeTick(t *testing.T) {
	for range 100 { // of which one is in time
		p := newPlainTree(t, nil)
		p.change(named(create, 0))
		if p.check() == 2 { // names that are not in doubt
			return
		}
	}
	t.Error("names are shown at once")
}

// TestTreeListing reads a directory again only if it has changed or, after a second, if it was
// not known to be the same on both sides.
func TestTreeListing(t *testing.T) {
	p := newPlainTree(t, nil)
	p.change(named(create, 0))
	p.change(wait)
	const listed = 2 // entries, on both sides
	p.blind = 1      // for the directory
	for i, want := range []int{listed + entriesPerFile, entriesPerFile, listed, 0} {
		if i == 2 {
			time.Sleep(lookAgain)
		}
		_, read, ok := p.tree.Spelling(treeDir.cipher+"/"+treeNames[0].cipher, treeDir.plain+"/bad\ufffd", true)
		if read != want || !ok {
			t.Errorf("look %d: %d entries read, want %d; proved: %v", i, read, want, ok)
		}
	}
}

// TestTreeListings bounds the memory for listings: some are forgotten, and one that is too
// big is not kept.
func TestTreeListings(t *testing.T) {
	p := newPlainTree(t, nil)
	p.tree.view.dir, p.tree.maxListed = p.tree.view.plain, 50_000
	for dir, files := range map[string]int{"one": 200, "two": 200, "big": 400} {
		p.must(os.Mkdir(p.plain("../"+dir), 0o755))
		for i := range files {
			p.must(os.WriteFile(p.plain(fmt.Sprintf("../%s/%d\xff", dir, i)), nil, 0o644))
		}
	}
	p.change(wait)
	for _, tt := range []struct {
		dir          string
		names, known int
	}{{"one", 200, 1}, {"two", 200, 1}, {"big", 0, 2}} {
		l, _ := p.tree.readListing(tt.dir, tt.dir+"/")
		if len(l.names) != tt.names || len(p.tree.listings) != tt.known || p.tree.listed > p.tree.maxListed {
			t.Errorf("%s: %d names, %d listings of %d bytes, want %d and %d", tt.dir, len(l.names),
				len(p.tree.listings), p.tree.listed, tt.names, tt.known)
		}
	}
}

// TestSameFile takes an inode for that of a file only with its change time: a snapshot has
// the inodes of what it was made of. A change time in seconds is not that of the moment.
func TestSameFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	var infos []fs.FileInfo
	for i := range 2 {
		err := os.WriteFile(path, make([]byte, i), 0o644)
		fi, err2 := os.Lstat(path)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		infos = append(infos, fi)
		time.Sleep(clockStep)
	}
	if sameFile(infos[0], infos[1]) || !sameFile(infos[1], infos[1]) {
		t.Error("not told by the change time")
	}
	second := time.Now().Truncate(time.Second)
	for changed, want := range map[time.Time]bool{
		second: true, second.Add(-time.Second): true, second.Add(-entryTimeout): false,
		second.Add(-time.Second + 1): false, time.Now(): true, time.Now().Add(time.Hour): false, time.Now().Truncate(time.Second).Add(time.Hour): false,
	} {
		if got := isRecent(changed); got != want {
			t.Errorf("%v is recent: %v", changed, got)
		}
	}
}

// coarseDir returns a directory with change times as coarse as the clock, if root asks on
// Linux: ramfs. Since Linux 6.13 other file systems have finer ones.
func coarseDir(t *testing.T) string {
	dir := t.TempDir()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		return dir
	}
	if out, err := exec.Command("mount", "-t", "ramfs", "none", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Cleanup(func() { exec.Command("umount", dir).Run() })
	return dir
}

// TestMountTables finds the view and its plain directory by what they are, since the
// tables of macOS and FreeBSD have neither gocryptfs's type nor the direction.
func TestMountTables(t *testing.T) {
	real, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	plain, enc, other := twins(t, real)
	sub := filepath.Join(enc, encA)
	row := func(fstype, source, at, root string) *mountinfo.Info {
		return &mountinfo.Info{FSType: fstype, Source: source, Mountpoint: at, Root: root}
	}
	of := func(user string, m *mountinfo.Info) *mountinfo.Info { // on Linux
		m.VFSOptions = "rw,user_id=" + user + ",group_id=0"
		return m
	}
	root, disk := row("apfs", "/dev/disk1", "/", ""), row("ext4", "/dev/sda", "/", "/")
	reverse, forward := view{dir: enc, plain: plain, reverse: true}, view{dir: enc, plain: plain}
	unknown := view{dir: enc, sub: encA, reverse: true}
	inside := func(v view) view { v.sub = encA; return v }
	for name, tt := range map[string]struct {
		table mountTable
		dir   string
		want  view
	}{
		"Linux, reverse":            {mountTable{disk, row("fuse.gocryptfs-reverse", plain, enc, "/")}, enc, reverse},
		"Linux, forward":            {mountTable{disk, row("fuse.gocryptfs", enc, plain, "/")}, sub, inside(forward)},
		"macFUSE, reverse":          {mountTable{root, row("macfuse", plain, enc, "")}, enc, reverse},
		"macFUSE, inside":           {mountTable{root, row("macfuse", plain, enc, "")}, sub, inside(reverse)},
		"macFUSE, forward":          {mountTable{root, row("macfuse", enc, plain, "")}, enc, forward},
		"osxfuse, forward":          {mountTable{root, row("osxfuse", enc, plain, "")}, sub, inside(forward)},
		"FreeBSD, reverse":          {mountTable{root, row("fusefs", plain, enc, "")}, enc, reverse},
		"the newest counts":         {mountTable{root, row("fusefs", other, enc, ""), row("fusefs", plain, enc, "")}, enc, reverse},
		"the newest one lies":       {mountTable{root, row("fusefs", plain, enc, ""), row("fusefs", other, enc, "")}, enc, view{}},
		"another directory":         {mountTable{root, row("macfuse", other, enc, "")}, enc, view{}},
		"another file system":       {mountTable{root, row("nfs", plain, enc, "")}, enc, view{}},
		"a device":                  {mountTable{root, row("fusefs", "/dev/fuse", enc, "")}, enc, view{}},
		"somewhere else":            {mountTable{root, row("macfuse", plain, enc, "")}, other, view{}},
		"Linux, wrong, reverse":     {mountTable{disk, row("fuse.gocryptfs-reverse", other, enc, "/")}, sub, unknown},
		"forward, listed twice":     {mountTable{disk, row("fuse.gocryptfs", enc, plain, "/"), row("fuse.gocryptfs", enc, plain, "/")}, enc, forward},
		"forward, another user's":   {mountTable{disk, of("4242", row("fuse.gocryptfs", enc, plain, "/"))}, enc, view{}},
		"forward, root's":           {mountTable{disk, of("0", row("fuse.gocryptfs", enc, plain, "/"))}, enc, forward},
		"reverse, another user's":   {mountTable{disk, of("4242", row("fuse.gocryptfs-reverse", plain, enc, "/"))}, enc, reverse},
		"reverse and forward":       {mountTable{disk, row("fuse.gocryptfs-reverse", other, enc, "/"), row("fuse.gocryptfs", enc, plain, "/")}, sub, unknown},
		"in their FUSE file system": {mountTable{disk, row("fuse.gocryptfs", enc, plain, "/"), of("4242", row("fuse", "x", enc, "/"))}, enc, forward},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(name, "'s") && runtime.GOOS != "linux" {
				t.Skip("owners are not in the table")
			}
			v, p := (&search{mounts: tt.table}).lookUp(tt.dir)
			if v != tt.want || (p == nil) != (v.plain != "") {
				t.Errorf("got %+v, %v, want %+v", v, p, tt.want)
			}
		})
	}
}

// TestMountHides finds the mount of a path by the parents of mounts: one that is above others
// and newer hides them, and one that was moved is not newer.
func TestMountHides(t *testing.T) {
	row := func(id, parent int, at string) *mountinfo.Info {
		return &mountinfo.Info{ID: id, Parent: parent, Mountpoint: at, Root: "/"}
	}
	table := mountTable{row(2, 3, "/proc"), row(3, 1, "/"), row(4, 3, "/a"), row(5, 4, "/a/b"), row(6, 5, "/a/b"),
		row(7, 3, "/c/d"), row(8, 3, "/c"), row(9, 8, "/c/e")}
	for dir, want := range map[string]int{"/": 3, "/proc/1": 2, "/a": 4, "/ab": 3, "/a/b/c": 6, "/c/d": 8, "/c/e/f": 9, "/x": 3} {
		if _, m := table.locate(dir); m == nil || m.ID != want {
			t.Errorf("%s lies in %v, want %d", dir, m, want)
		}
	}
}

// twins makes two directories with the same change time, as the roots of a view and of
// its plain directory have it, and a third one. All are old enough to be trusted.
func twins(t *testing.T, base string) (plain, enc, other string) {
	t.Helper()
	plain, enc, other = filepath.Join(base, "plain"), filepath.Join(base, "enc"), filepath.Join(base, "other")
	if err := os.Mkdir(other, 0o755); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if err := errors.Join(os.RemoveAll(plain), os.RemoveAll(enc), os.MkdirAll(filepath.Join(enc, encA), 0o755), os.Mkdir(plain, 0o755)); err != nil {
			t.Fatal(err)
		}
		a, err := os.Stat(plain)
		b, err2 := os.Stat(enc)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		if changeTime(a).Equal(changeTime(b)) {
			time.Sleep(entryTimeout)
			return plain, enc, other
		}
	}
	t.Fatal("no two directories with the same change time")
	return
}
