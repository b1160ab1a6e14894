package tree

import (
	"cmp"
	_ "embed"
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

	"github.com/moby/sys/mountinfo"
)

// A plainTree is a model of a plain directory with its encrypted view. A file in one is
// the same inode as that in the other, as far as the system lets it be: a hard link.
//
// In both there is one directory. Its files have names that are not UTF-8 and look the
// same in JSON, and its links two targets each. While the tree looks at them, they
// change, as a script says.
type plainTree struct {
	t      testing.TB
	tree   *Tree
	inodes map[uint64]uint64 // of links and directories of the view, and what they are
	script []byte
	blind  int  // this many next files seem to differ
	stale  bool // the view remembers names
}

const (
	encDir, plainDir = "DIR", "dir"
	looksAlike       = "bad\ufffd" // as JSON has the first three names

	// twin ends the names of a directory and of roots in which the first link leads to the
	// second target.
	twin = " twin"
)

// What is in the directory.
var (
	treeNames   = []entry{{"A", "bad\xff"}, {"B", "bad\xfe"}, {"C", looksAlike}, {"D", "name"}}
	treeLinks   = []entry{{"E", "link"}, {"F", "other"}}
	treeTargets = []string{"here", "there"}
)

type entry struct{ cipher, plain string }

// encrypted returns the encrypted form of a target, which is another one for each link.
func (e entry) encrypted(target string) string { return e.cipher + target }

func newPlainTree(t testing.TB, base string, script ...byte) *plainTree {
	p := &plainTree{t: t, script: script, inodes: map[uint64]uint64{}}
	p.tree = newTree("", "", time.Minute)
	p.tree.view = view{dir: filepath.Join(base, "view"), plain: filepath.Join(base, "plain")}
	p.tree.same, p.tree.links = p.same, p.links
	for i, at := range [][2]string{{"", ""}, {"", twin}, {twin, ""}} {
		cipher := filepath.Join(p.tree.view.dir+at[0], encDir+at[1])
		plain := filepath.Join(p.tree.view.plain+at[0], plainDir+at[1])
		must(os.MkdirAll(cipher, 0o755), os.MkdirAll(plain, 0o755))
		p.pair(cipher, plain)
		if link, target := treeLinks[0], treeTargets[1]; i > 0 {
			cipher, plain = filepath.Join(cipher, link.cipher), filepath.Join(plain, link.plain)
			must(os.Symlink(link.encrypted(target), cipher), os.Symlink(target, plain))
			p.pair(cipher, plain)
		}
	}
	p.tree.view.ids = p.tree.view.identify()
	return p
}

func (p *plainTree) cipher(name string) string { return filepath.Join(p.tree.view.dir, encDir, name) }
func (p *plainTree) plain(name string) string {
	return filepath.Join(p.tree.view.plain, plainDir, name)
}

func must(errs ...error) {
	if err := errors.Join(errs...); err != nil {
		panic(err) // a look runs in a goroutine of its own
	}
}

// pair takes note that two entries are the same.
func (p *plainTree) pair(cipher, plain string) {
	c, err := os.Lstat(cipher)
	q, err2 := os.Lstat(plain)
	must(err, err2)
	p.inodes[inode(c)] = inode(q)
}

// same and links stand in for sameFile and readLinks. Meanwhile, the tree changes.
func (p *plainTree) same(encrypted, plain fs.FileInfo) bool {
	p.next()
	p.blind--
	return p.blind < 0 && (sameFile(encrypted, plain) || p.inodes[inode(encrypted)] == inode(plain))
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
	kind, n := op%8, int(op/8)
	from, to := treeNames[n%4], treeNames[n/4%4]
	link, target := treeLinks[n%2], treeTargets[n/2%2]
	switch kind {
	case exchange:
		sides := []int{0, 2, 2, 1, 1, 0}[min(n, 5)] // one, as long as the kernel remembers the other
		for _, dir := range []string{p.cipher(""), p.plain("")}[:sides] {
			if n%2 == 0 {
				dir = filepath.Dir(dir)
			}
			must(os.Rename(dir, dir+"~"), os.Rename(dir+twin, dir), os.Rename(dir+"~", dir+twin))
		}
	case remove, create:
		os.Remove(p.plain(from.plain))
		os.Remove(p.cipher(from.cipher))
		if kind == create {
			must(os.WriteFile(p.plain(from.plain), nil, 0o644), os.Link(p.plain(from.plain), p.cipher(from.cipher)))
		}
	case rename:
		if _, err := os.Lstat(p.plain(from.plain)); err == nil && from != to {
			must(os.Rename(p.plain(from.plain), p.plain(to.plain)))
			if !p.stale {
				must(os.Rename(p.cipher(from.cipher), p.cipher(to.cipher)))
			}
		}
	case point, pointAndWait:
		p.point(p.plain(link.plain), target)
		p.point(p.cipher(link.cipher), link.encrypted(target))
		p.pair(p.cipher(link.cipher), p.plain(link.plain))
	case hang:
		if op > 0xf0 {
			time.Sleep(p.tree.timeout + clockStep) // it hangs
		}
	}
	if kind == wait || kind == pointAndWait {
		time.Sleep(clockStep + clockStep/4)
	}
}

// point has a link lead to a target: one with that target takes its place, and the other
// one is kept, as somebody does who swaps them.
func (p *plainTree) point(at, target string) {
	kept := func(target string) string { return filepath.Join(p.tree.view.dir, "..", filepath.Base(at)+target) }
	if old, err := os.Readlink(at); err == nil {
		must(os.Rename(at, kept(old)))
	}
	if err := os.Symlink(target, kept(target)); !os.IsExist(err) {
		must(err)
	}
	must(os.Rename(kept(target), at))
}

// check looks at all names and targets. What is found has to be right; what is not is no fault.
// It returns how many are found.
func (p *plainTree) check() (found int) {
	p.t.Helper()
	is := func(got, want string, ok bool) {
		p.t.Helper()
		if ok && got != want {
			p.t.Errorf("found %q, want %q", got, want)
		} else if ok {
			found++
		}
	}
	for _, e := range treeNames[:3] {
		got, _, ok := p.tree.Spelling(encDir+"/"+e.cipher, plainDir+"/"+looksAlike)
		is(got, plainDir+"/"+e.plain, ok)
	}
	for _, link := range treeLinks {
		for _, target := range treeTargets {
			got, ok := p.tree.Target(encDir+"/"+link.cipher, plainDir+"/"+link.plain, []byte(link.encrypted(target)))
			is(got, target, ok)
		}
	}
	for p.tree.isHung() { // it changes the tree until it ends
		time.Sleep(time.Millisecond)
	}
	return found
}

// FuzzTree changes files at any time. A name that is found has to be that of its file, and a target
// that of its link.
func FuzzTree(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add([]byte{2, 10, 18, 26, 34, 4, 12, 6}, []byte{0, 4, 0, 20, 5, 21})
	f.Add([]byte{2, 26, 4, 13, 6}, []byte{0, 0, 0, 0, 0, 0, 21, 5})
	f.Add([]byte{2, 10, 6}, []byte{1, 3, 11, 19})
	f.Add([]byte{4, 12, 6}, []byte{0, 4, 20, 4, 20, 12, 28})
	f.Add([]byte{2, 4, 6}, []byte{0xff, 4, 20})
	f.Fuzz(func(t *testing.T, before, during []byte) {
		p := newPlainTree(t, t.TempDir(), during[:min(len(during), 64)]...)
		p.tree.timeout = 50 * time.Millisecond
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
// mode only the plain side is looked at again. What has just changed is not found at all, since it
// may be changing still, at the same time of a coarse clock.
func TestTreeSwaps(t *testing.T) {
	here, there := pointed(point, 0, 0), pointed(point, 0, 1)
	dir, roots, viewDir, viewRoot := named(exchange, 1), named(exchange, 2), named(exchange, 3), named(exchange, 4)
	coarse := coarseDir(t)
	var trees []*plainTree
	least := 1
	for at := range 32 {
		p := newPlainTree(t, filepath.Join(coarse, fmt.Sprint(at)), append(make([]byte, at/2), there, here)...)
		p.tree.view.reverse = at%2 == 0
		for _, op := range []byte{named(create, 0), there, here} {
			p.change(op)
		}
		least = min(least, p.check())
		scripts := [][]byte{{pointed(pointAndWait, 0, 1)}, {dir}, {dir, dir}, {roots}, {roots, roots},
			{viewDir}, {viewDir, viewDir}, {viewRoot}}
		for _, script := range scripts[:5+3*(at%2)] {
			p := newPlainTree(t, t.TempDir(), append(make([]byte, at/2), script...)...)
			p.tree.view.reverse = at%2 == 0
			p.change(here)
			trees = append(trees, p)
		}
	}
	time.Sleep(2 * clockStep)
	for _, p := range trees {
		p.check()
	}
	p := newPlainTree(t, t.TempDir())
	for _, op := range []byte{named(create, 0), here, pointed(point, 1, 0), wait} {
		p.change(op)
	}
	if n := p.check(); n != 3 || least > 0 {
		t.Errorf("%d names and targets are found of 3 that do not change, and %d at least of those that do", n, least)
	}
}

// TestTreeCloses keeps directories open for a moment after a look, at most until another view is
// found: they could not be unmounted.
func TestTreeCloses(t *testing.T) {
	p := newPlainTree(t, t.TempDir())
	for i, end := range []func(){p.tree.forget, func() { time.Sleep(10 * clockStep) }} {
		dir, err := os.OpenRoot(p.tree.view.plain)
		must(err)
		p.tree.keep(trail{{dir: dir}})
		end()
		if _, err := dir.Stat("."); err == nil {
			t.Errorf("%d: still open", i)
		}
	}
	link, target := treeLinks[0], treeTargets[0]
	p.change(pointed(pointAndWait, 0, 0))
	for range 100 { // of which one is in time
		p.tree.Target(encDir+"/"+link.cipher, plainDir+"/"+link.plain, []byte(link.encrypted(target)))
		if kept := p.tree.take(); kept != nil {
			kept.close()
			return
		}
	}
	t.Error("closed at once")
}

// TestTreeRenames gives a file the name of another one that looks the same in JSON, at each
// moment of a look at a directory that has been quiet for long, or while a large one is read.
// Its change time stays, as on some file systems, and the kernel may remember the old name.
func TestTreeRenames(t *testing.T) {
	var trees []*plainTree
	for i := range 2 * 5 * 9 {
		at, from, to := i/9%5, i%9/3, i%3
		p := newPlainTree(t, t.TempDir(), append(make([]byte, at), renamed(from, to))...)
		p.stale = i%2 == 0
		for name := range 3 {
			p.change(named(create, name))
			p.pair(p.cipher(treeNames[name].cipher), p.plain(treeNames[name].plain))
		}
		trees = append(trees, p)
	}
	large := newPlainTree(t, t.TempDir())
	large.change(named(create, 0))
	for i := range 20000 {
		must(os.WriteFile(large.plain(fmt.Sprint(i)), nil, 0o600))
	}
	for i := range 40 {
		time.Sleep(clockStep + clockStep/4)
		renames := make(chan struct{})
		timer := time.AfterFunc(time.Duration(i)*50*time.Microsecond, func() {
			defer close(renames)
			for n := i; large.tree.isHung(); n++ { // as long as it looks
				large.change(renamed(n%2, 1-n%2))
			}
		})
		large.check()
		if !timer.Stop() {
			<-renames // two at a time would mix up both sides
		}
	}
	time.Sleep(entryTimeout + clockStep)
	for _, p := range trees {
		p.check()
	}
}

// TestTreeListing reads a directory again only if it has changed or, after a second, if it was
// not known to be the same on both sides.
func TestTreeListing(t *testing.T) {
	p := newPlainTree(t, t.TempDir())
	p.change(named(create, 0))
	p.change(wait)
	const listed = 2 // entries, on both sides
	p.blind = 1      // for the directory
	for i, want := range []int{listed + entriesPerFile, entriesPerFile, listed, 0} {
		if i == 2 {
			time.Sleep(lookAgain)
		}
		_, read, ok := p.tree.Spelling(encDir+"/"+treeNames[0].cipher, plainDir+"/"+looksAlike)
		if read != want || !ok {
			t.Errorf("look %d: %d entries read, want %d; proved: %v", i, read, want, ok)
		}
	}
}

// TestTreeListings bounds the memory for listings: some are forgotten, and one that is too
// big is not kept.
func TestTreeListings(t *testing.T) {
	p := newPlainTree(t, t.TempDir())
	p.tree.view.dir, p.tree.maxListed = p.tree.view.plain, 50_000
	for dir, files := range map[string]int{"one": 200, "two": 200, "big": 400} {
		must(os.Mkdir(p.plain("../"+dir), 0o755))
		for i := range files {
			must(os.WriteFile(p.plain(fmt.Sprintf("../%s/%d\xff", dir, i)), nil, 0o644))
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
	must(os.WriteFile(path, nil, 0o644))
	before, err := os.Lstat(path)
	time.Sleep(clockStep)
	must(err, os.Chmod(path, 0o600))
	after, err := os.Lstat(path)
	must(err)
	if sameFile(before, after) || !sameFile(after, after) {
		t.Error("not told by the change time")
	}
	now, second := time.Now(), time.Now().Truncate(time.Second)
	for changed, want := range map[time.Time]bool{
		second: true, second.Add(-time.Second): true, second.Add(-time.Second + 1): false, second.Add(-entryTimeout): false,
		now: true, now.Add(time.Hour): false, second.Add(time.Hour): false,
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

//go:embed testdata/mounts.txt
var mountTables string

// TestMountTables finds the view and its plain directory by what they are, since the
// tables of macOS and FreeBSD have neither gocryptfs's type nor the direction.
func TestMountTables(t *testing.T) {
	dirs := twins(t)
	for line := range strings.Lines(mountTables) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 || strings.Contains(line, "@") && runtime.GOOS != "linux" {
			continue
		}
		root := map[bool]string{true: "/"}[strings.Contains(line, "fuse.")]
		table := mountTable{{FSType: "ext4", Source: "/dev/sda", Mountpoint: "/", Root: root}}
		for _, m := range cells[2:] {
			m := strings.Fields(m)
			fstype, user, _ := strings.Cut(m[0], "@")
			table = append(table, &mountinfo.Info{FSType: fstype, Source: cmp.Or(dirs[m[1]], m[1]), Mountpoint: dirs[m[2]],
				Root: root, VFSOptions: "rw,user_id=" + cmp.Or(user, "0") + ",group_id=0"})
		}
		dir, found := strings.TrimSpace(cells[0]), cells[1]
		var want view
		if !strings.Contains(found, "nothing") {
			want = view{dir: dirs["enc"], plain: dirs["plain"], reverse: strings.Contains(found, "reverse")}
			want.sub, _ = below(want.dir, dirs[dir])
		}
		if strings.Contains(found, "unknown") {
			want.plain = ""
		}
		if v, p := (&search{mounts: table}).lookUp(dirs[dir]); v != want || (p == nil) != (v.plain != "") {
			t.Errorf("%sgot %+v, %v, want %+v", line, v, p, want)
		}
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

// twins makes two directories with the same change time, as the roots of a view and of its plain
// directory have it, and others, by name. All are old enough to be trusted.
func twins(t *testing.T) map[string]string {
	base, err := filepath.EvalSymlinks(t.TempDir())
	must(err)
	dirs := map[string]string{"sub": filepath.Join(base, "enc/sub")}
	for name, dir := range map[string]string{"plain": "pl_ain", "enc": "enc", "other": "other"} {
		dirs[name] = filepath.Join(base, dir)
	}
	must(os.Mkdir(dirs["other"], 0o755), os.Symlink("pl_ain", filepath.Join(base, "pl,ain")))
	for range 1000 {
		must(os.RemoveAll(dirs["plain"]), os.RemoveAll(dirs["enc"]), os.MkdirAll(dirs["sub"], 0o755), os.Mkdir(dirs["plain"], 0o755))
		if (&search{}).sameRoot(dirs["plain"], dirs["enc"]) {
			time.Sleep(entryTimeout)
			return dirs
		}
	}
	t.Fatal("no two directories with the same change time")
	return nil
}
