package tree

import (
	"cmp"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
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
	t       testing.TB
	tree    *Tree
	view    view
	inodes  map[uint64]uint64 // of links and directories of the view, and what they are
	script  []op              // what is left of it
	changes []op              // what was done
	looks   int
	stale   bool // the view remembers names
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

func newPlainTree(t testing.TB, base string, script ...op) *plainTree {
	p := &plainTree{t: t, script: script, inodes: map[uint64]uint64{}}
	p.view = view{dir: filepath.Join(base, "view"), known: View{Plain: filepath.Join(base, "plain")}}
	for i, at := range [][2]string{{"", ""}, {"", twin}, {twin, ""}, {twin, twin}} {
		cipher := filepath.Join(p.view.dir+at[0], encDir+at[1])
		plain := filepath.Join(p.view.known.Plain+at[0], plainDir+at[1])
		must(os.MkdirAll(cipher, 0o755), os.MkdirAll(plain, 0o755))
		p.pair(cipher, plain)
		if link, target := treeLinks[0], treeTargets[1]; i > 0 {
			cipher, plain = filepath.Join(cipher, link.cipher), filepath.Join(plain, link.plain)
			must(os.Symlink(link.encrypted(target), cipher), os.Symlink(target, plain))
			p.pair(cipher, plain)
		}
	}
	(&search{}).sameRoot(&p.view)
	p.tree = New("", "", time.Minute, &stubServer{})
	p.tree.view = &p.view
	p.tree.disk = disk{readMounts, p.stat, p.readlink, p.same, 0}
	return p
}

func (p *plainTree) cipher(name string) string { return filepath.Join(p.view.dir, encDir, name) }
func (p *plainTree) plain(name string) string {
	return filepath.Join(p.view.known.Plain, plainDir, name)
}

func must(errs ...error) {
	if err := errors.Join(errs...); err != nil {
		panic(err) // a look runs in a goroutine of its own
	}
}

func lstat(path string) file {
	f, err := stat(here, path, 0)
	must(err)
	return f
}

// pair takes note that two entries are the same.
func (p *plainTree) pair(cipher, plain string) { p.inodes[lstat(cipher).inode] = lstat(plain).inode }

// same, stat and readlink stand in for those of the system. Before each look, the tree changes.
func (p *plainTree) same(encrypted, plain file) bool {
	return isSame(encrypted, plain) || p.inodes[encrypted.inode] == plain.inode
}

func (p *plainTree) stat(in int, name string, flags int) (file, error) {
	p.next()
	return stat(in, name, flags)
}

func (p *plainTree) readlink(in int, name string) (string, error) {
	p.next()
	return readlink(in, name)
}

// next does the next step of the script.
func (p *plainTree) next() {
	p.looks++
	if len(p.script) > 0 {
		op := p.script[0]
		p.script = p.script[1:]
		p.change(op)
	}
}

// An op is a change of the tree: of a name or a link, to another name or a target.
type op struct {
	kind kind
	n    int
}

type kind byte

const (
	exchange = kind(iota) // a directory above the links and its twin; or nothing
	remove
	create
	rename       // to another name
	point        // a link to a target
	pointAndWait // until the clock has advanced
	wait
	pointView // like point, in the view alone
)

func renamed(from, to int) op               { return op{rename, from + to*len(treeNames)} }
func pointed(kind kind, link, to int) op    { return op{kind, link + 2*to} }
func (o op) names() (from, to entry)        { return treeNames[o.n%4], treeNames[o.n/4%4] }
func (o op) link() (e entry, target string) { return treeLinks[o.n%2], treeTargets[o.n/2%2] }

// at returns a script that begins at a moment of a look.
func at(moment int, script ...op) []op {
	return append(slices.Repeat([]op{{exchange, 0}}, moment), script...)
}

// change changes the tree, in a way of some 40, or does nothing.
func (p *plainTree) change(o op) {
	from, to := o.names()
	link, target := o.link()
	if o != (op{}) {
		p.changes = append(p.changes, o)
	}
	switch o.kind {
	case exchange:
		sides := []int{0, 2, 2, 1, 1, 0}[min(o.n, 5)] // one, as long as the kernel remembers the other
		for _, dir := range []string{p.cipher(""), p.plain("")}[:sides] {
			if o.n%2 == 0 {
				dir = filepath.Dir(dir)
			}
			must(os.Rename(dir, dir+"~"), os.Rename(dir+twin, dir), os.Rename(dir+"~", dir+twin))
		}
	case remove, create:
		os.Remove(p.plain(from.plain))
		os.Remove(p.cipher(from.cipher))
		if o.kind == create {
			must(os.WriteFile(p.plain(from.plain), nil, 0o644), os.Link(p.plain(from.plain), p.cipher(from.cipher)))
		}
	case rename:
		_, err := os.Lstat(p.plain(from.plain))
		if _, err2 := os.Lstat(p.cipher(from.cipher)); err == nil && (err2 == nil || p.stale) && from != to {
			if !p.stale { // the view has neither name meanwhile, as long as that may take
				must(os.Rename(p.cipher(from.cipher), p.cipher("meanwhile")))
				defer func() { must(os.Rename(p.cipher("meanwhile"), p.cipher(to.cipher))) }()
			}
			must(os.Rename(p.plain(from.plain), p.plain(to.plain)))
		}
	case pointView:
		p.point(p.cipher(link.cipher), link.encrypted(target))
	case point, pointAndWait:
		p.point(p.plain(link.plain), target)
		p.point(p.cipher(link.cipher), link.encrypted(target))
		p.pair(p.cipher(link.cipher), p.plain(link.plain))
	}
	if o.kind == wait || o.kind == pointAndWait {
		time.Sleep(clockStep + clockStep/4)
	}
}

// point has a link lead to a target: one with that target takes its place, and the other
// one is kept, as somebody does who swaps them.
func (p *plainTree) point(at, target string) {
	kept := func(target string) string { return filepath.Join(p.view.dir, "..", filepath.Base(at)+target) }
	if old, err := os.Readlink(at); err == nil {
		must(os.Rename(at, kept(old)))
	}
	if err := os.Symlink(target, kept(target)); !os.IsExist(err) {
		must(err)
	}
	must(os.Rename(kept(target), at))
}

// links looks at all targets, and names at all names. What is found has to be right; what is not
// is no fault. They return how many are found.
func (p *plainTree) links() (found int) {
	p.t.Helper()
	for _, link := range treeLinks {
		for _, target := range treeTargets {
			got, ok := p.tree.Target(encDir+"/"+link.cipher, plainDir+"/"+link.plain, []byte(link.encrypted(target)))
			found += p.count(got, target, ok)
		}
	}
	return found
}

func (p *plainTree) names() (found int) {
	p.t.Helper()
	for _, e := range treeNames[:3] {
		got, _, ok := p.tree.Spelling(encDir+"/"+e.cipher, plainDir+"/"+looksAlike, true)
		found += p.count(got, plainDir+"/"+e.plain, ok)
	}
	return found
}

// count returns 1 if something right was found.
func (p *plainTree) count(got, want string, ok bool) int {
	p.t.Helper()
	switch {
	case ok && got != want:
		p.t.Errorf("found %q, want %q, at look %d, after %v", got, want, p.looks, p.changes[max(0, len(p.changes)-9):])
	case ok:
		return 1
	}
	return 0
}

// FuzzTree changes files at any time. A name that is found has to be that of its file, and a target
// that of its link.
func FuzzTree(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add([]byte{2, 10, 18, 26, 34, 4, 12, 6}, []byte{0, 4, 0, 20, 5, 21})
	f.Add([]byte{2, 26, 4, 13, 6}, []byte{0, 0, 0, 0, 0, 0, 21, 5})
	f.Add([]byte{2, 10, 6}, []byte{1, 3, 11, 19})
	f.Add([]byte{4, 12, 6}, []byte{0, 4, 20, 4, 20, 12, 28})
	f.Fuzz(func(t *testing.T, before, during []byte) {
		p := newPlainTree(t, t.TempDir())
		for _, b := range during[:min(len(during), 64)] {
			p.script = append(p.script, op{kind(b % 8), int(b / 8)})
		}
		for _, b := range before[:min(len(before), 16)] {
			p.change(op{kind(b % 8), int(b / 8)})
			if b%8 == 6 {
				p.names()
				p.links()
			}
		}
		p.names()
		p.links()
	})
}

// TestTreeSwaps has a link get its other target, or a directory above it the place of its twin,
// at each moment of a look: long enough ago to be trusted, or there and back at once. In reverse
// mode only the plain side is looked at again. What has just changed is not found at all, since it
// may be changing still, at the same time of a coarse clock.
func TestTreeSwaps(t *testing.T) {
	hither, thither := pointed(point, 0, 0), pointed(point, 0, 1)
	dir, roots, viewDir, viewRoot := op{exchange, 1}, op{exchange, 2}, op{exchange, 3}, op{exchange, 4}
	var trees []*plainTree
	least := 1
	for i := range 32 {
		moment, reverse := i/2, i%2
		p := newPlainTree(t, t.TempDir(), at(moment, thither, hither)...)
		p.view.known.Reverse = reverse == 1
		for _, o := range []op{{create, 0}, thither, hither} {
			p.change(o)
		}
		least = min(least, p.links()+p.names())
		scripts := [][]op{{pointed(pointAndWait, 0, 1)}, {dir}, {dir, dir}, {roots}, {roots, roots},
			{viewDir}, {viewDir, viewDir}, {viewRoot}, {pointed(pointView, 0, 1)}, {pointed(pointView, 0, 1), pointed(pointView, 0, 0)}}
		for _, script := range scripts[:len(scripts)-5*reverse] {
			p := newPlainTree(t, t.TempDir(), at(moment, script...)...)
			p.view.known.Reverse = reverse == 1
			p.change(hither)
			trees = append(trees, p)
		}
	}
	time.Sleep(2 * clockStep)
	for _, p := range trees {
		p.links()
	}
	p := newPlainTree(t, t.TempDir())
	for _, o := range []op{{create, 0}, hither, pointed(point, 1, 0), {wait, 0}} {
		p.change(o)
	}
	p.tree.disk.stat = func(in int, name string, flags int) (f file, err error) { // the kernel remembers another directory
		if f, err = stat(in, name, flags); name == "." && p.inodes[f.inode] != 0 && flags != fresh {
			f.inode = 0
		}
		return f, err
	}
	if n := p.links() + p.names(); n != 3 || least > 0 {
		t.Errorf("%d names and targets are found of 3 that do not change, and %d at least of those that do", n, least)
	}
	fds, _ := filepath.Glob("/proc/self/fd/*") // on Linux
	for _, fd := range fds {
		if dir, _ := os.Readlink(fd); strings.HasPrefix(dir, filepath.Dir(p.view.dir)) {
			t.Errorf("%s is still open", dir)
		}
	}
}

// TestTreeRenames gives a file the name of another one that looks the same in JSON, at each
// moment of a look at a directory that has been quiet for long, or while a large one is read.
// Its change time stays, as on some file systems, and the kernel may remember the old name.
func TestTreeRenames(t *testing.T) {
	var trees []*plainTree
	for i := range 2 * 16 * 6 {
		moment, from := i/6%16, i%3
		p := newPlainTree(t, t.TempDir(), at(moment, renamed(from, (from+1+i/3%2)%3))...)
		p.stale = i/96 == 0
		for name := range 3 {
			p.change(op{create, name})
			p.pair(p.cipher(treeNames[name].cipher), p.plain(treeNames[name].plain))
		}
		trees = append(trees, p)
	}
	recent := newPlainTree(t, t.TempDir()) // not long ago
	recent.stale = true
	for _, o := range []op{{create, 0}, {create, 1}, {create, 2}, renamed(0, 1), {wait, 0}} {
		recent.change(o)
	}
	recent.names()
	linked := newPlainTree(t, t.TempDir()) // two names of one file
	linked.change(op{create, 0})
	must(os.Link(linked.plain("bad\xff"), linked.plain("bad\xfe")), os.Link(linked.cipher("A"), linked.cipher("B")))
	large := newPlainTree(t, t.TempDir())
	large.change(op{create, 0})
	for i := range 4000 {
		must(os.WriteFile(large.plain(fmt.Sprint(i)), nil, 0o600))
	}
	for i := range 16 {
		time.Sleep(clockStep + clockStep/4)
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			time.Sleep(time.Duration(i) * 30 * time.Microsecond)
			for n := i; ; n++ { // as long as it looks
				select {
				case <-stop:
					return
				default:
					large.change(renamed(n%2, 1-n%2))
				}
			}
		}()
		large.names()
		close(stop)
		<-stopped // two at a time would mix up both sides
	}
	time.Sleep(entryTimeout + clockStep)
	for _, p := range append(trees, linked) {
		p.names()
	}
}

// TestTreeListing reads a directory again only if it has changed, and not one that is too big.
func TestTreeListing(t *testing.T) {
	p := newPlainTree(t, t.TempDir())
	p.change(op{create, 0})
	must(os.WriteFile(p.plain("../top\xff"), nil, 0o644), os.Link(p.plain("../top\xff"), p.cipher("../T")), os.WriteFile(p.cipher("../U"), nil, 0o644))
	p.change(op{wait, 0})
	const listed, look = 2, 2 * entriesPerFile // entries on both sides, and a look two deep
	for i, want := range []int{listed + look + entriesPerFile, 0, 0, look + entriesPerFile, 2*listed + 2*look} {
		name := treeNames[i/3]
		if i == 4 { // what another directory has, and what is read meanwhile, does not count
			must(os.WriteFile(filepath.Join(p.view.known.Plain, plainDir+twin, "bad\xfe"), nil, 0o644))
			p.change(op{wait, 0})
			got, _, ok := p.tree.Spelling(encDir+"/A", plainDir+twin+"/"+looksAlike, true)
			a := p.tree.disk.prove(p.view, encDir+"/A", plainDir+"/"+looksAlike, func(trail, trail) answer {
				p.change(op{create, 1})
				return answer{listing: &listing{}}
			})
			if p.change(op{wait, 0}); ok || a.err == nil || a.listing != nil {
				t.Errorf("%q was found in another directory, or %+v while it was changing", got, a)
			}
		}
		_, read, _ := p.tree.Spelling(encDir+"/"+name.cipher, plainDir+"/"+looksAlike, want > 0)
		if read != want {
			t.Errorf("look %d: %d entries read, want %d", i, read, want)
		}
	}
	// In the root, which another file system may share with it, the file counts.
	must(os.WriteFile(p.plain("../twin\xff"), nil, 0o644)) // so the roots have two change times
	p.change(op{wait, 0})
	for name, want := range map[string]bool{"T": true, "U": false} {
		plain := map[string]string{"T": "top\ufffd", "U": "twin\ufffd"}[name]
		got, _, ok := p.tree.Spelling(name, plain, true)
		if _, read, again := p.tree.Spelling(name, plain, false); ok != want || ok && got != "top\xff" || again || read > 0 {
			t.Errorf("%s in the root: %q, %v", name, got, ok)
		}
	}
	defer func(was int) { maxListed = was }(maxListed)
	maxListed = 50_000
	for i := range maxListed / 400 {
		must(os.WriteFile(p.plain(fmt.Sprintf("%0200d\xff", i)), nil, 0o644))
	}
	p.change(op{wait, 0})
	for range 2 {
		if _, _, ok := p.tree.Spelling(encDir+"/A", plainDir+"/"+looksAlike, true); ok || len(p.tree.listed.spellings) > 0 {
			t.Errorf("%d spellings are kept; proved: %v", len(p.tree.listed.spellings), ok)
		}
	}
}

// TestSameFile takes an inode for that of a file only with its change time, as a snapshot has the
// inodes of what it was made of, and up to 48 bits. A time in seconds is not that of the moment.
func TestSameFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	must(os.WriteFile(path, nil, 0o644))
	before := lstat(path)
	time.Sleep(clockStep)
	must(os.Chmod(path, 0o600))
	one, tagged, longer := file{inode: 1}, file{inode: 7<<48 | 1}, file{inode: 1<<63 | 1}
	if after := lstat(path); isSame(before, after) || !isSame(after, after) || !isSame(tagged, one) || isSame(longer, one) || isSame(longer, longer) {
		t.Error("not told by the change time, or by 48 bits")
	}
	if at, _ := readMounts().locate(path); at.fs == fmt.Sprint(before.mount>>8, ":", before.mount&0xff) {
		t.Error("a mount has the number of its device, which others get after it")
	}
	now, second := time.Now(), time.Now().Truncate(time.Second)
	for changed, want := range map[time.Time]bool{
		second: true, second.Add(-time.Second): true, second.Add(-time.Second + 1): false, second.Add(-entryTimeout): false,
		now: true, now.Add(time.Hour): false, second.Add(time.Hour): false,
	} {
		if got := isRecent(file{changed: changed}); got != want {
			t.Errorf("%v is recent: %v", changed, got)
		}
	}
}

//go:embed testdata/mounts.txt
var mountTables string

//go:embed testdata/problems.txt
var problems string

// table returns a mount table with what a line of testdata/mounts.txt mounts in directories.
func table(line string, dirs map[string]string) (t mountTable) {
	add := func(fstype, source, at string) {
		fstype, user, _ := strings.Cut(fstype, "@")
		_, above := t.locate(at)
		t = append(t, &mountinfo.Info{ID: len(t) + 1, Parent: above.ID, Minor: len(t), FSType: fstype, Source: source,
			Mountpoint: at, Root: "/", VFSOptions: "rw" + map[bool]string{true: ",user_id=" + user + ",group_id=0"}[user != ""]})
	}
	add("ext4", "/dev/sda", "/")
	for _, m := range strings.Split(line, "|")[2:] {
		m := strings.Fields(m)
		dir, rest, _ := strings.Cut(m[1], "/")
		add(m[0], filepath.Join(cmp.Or(dirs[dir], dir), rest), dirs[m[2]])
	}
	return t
}

// TestMountTables finds the view and its plain directory.
func TestMountTables(t *testing.T) {
	dirs := twins(t)
	if v := findView(dirs["enc"], "", func() mountTable { return nil }); v.problem.kind != NoPlain || v.owner != 0 || absolute("") != "/" {
		t.Errorf("without a table: %v, trusts %d", v.problem, v.owner) // or without MOUNT
	}
	for i := range 4 * maxVariants {
		must(os.Mkdir(filepath.Join(dirs["other"], strings.NewReplacer("0", "_", "1", ",").Replace(fmt.Sprintf("%06b", i))), 0o755))
	}
	if found := (&search{}).follow(dirs["other"], "______"); len(found) != maxVariants {
		t.Errorf("a source may be one of %q", found)
	}
	for line := range strings.Lines(mountTables) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		dir, result := dirs[strings.TrimSpace(cells[0])], cells[1]
		want := view{dir: dir, known: View{Deterministic: true}}
		if !strings.Contains(result, "nothing") {
			want = view{dir: dirs["enc"], known: View{Plain: dirs["plain"], Reverse: strings.Contains(result, "reverse"), Deterministic: true}}
			want.known.Sub, _ = below(want.dir, dir)
		}
		if strings.Contains(result, "unknown") {
			want.known.Plain = ""
		}
		v := findView(dir, "", func() mountTable { return table(line, dirs) })
		if v.dir != want.dir || v.known != want.known || v.problem == nil && slices.Contains(v.ids[:], 0) {
			t.Errorf("%sgot %+v, %v, want %+v", line, v, v.problem, want)
		}
	}
}

// A stubServer is a gocryptfs that lives in another namespace or not.
type stubServer struct {
	trusted   uint32
	elsewhere bool
}

func (s *stubServer) Trust(uid uint32) { s.trusted = uid }
func (s *stubServer) Elsewhere() bool  { return s.elsewhere }

// with has New read a mount table of the test.
func with(t *testing.T, mounts func() mountTable) {
	was := system
	system.mounts = mounts
	t.Cleanup(func() { system = was })
}

// TestTreeServer trusts whoever mounted what MOUNT lies in, and believes the table only of a
// server that is known to see the same mounts. The path of MOUNT stays what it was.
func TestTreeServer(t *testing.T) {
	dirs := twins(t)
	with(t, func() mountTable {
		return table("||fuse.gocryptfs-reverse@4242 plain enc", dirs)
	})
	s := &stubServer{}
	tree := New(dirs["sub"], "", time.Minute, s)
	if s.trusted != 4242 {
		t.Errorf("user %d is trusted", s.trusted)
	}
	for i, plain := range []string{dirs["plain"], "", dirs["plain"], ""} {
		s.elsewhere = i%2 == 1
		said := ""
		tree.Check(func(p Problem, _ ...any) { said = string(p) })
		if got := tree.View(); got != (View{"sub", plain, true, true}) || s.elsewhere != strings.Contains(said, "namespace") {
			t.Errorf("elsewhere: %v: %+v, said %q", s.elsewhere, got, said)
		}
	}
	tree = New(dirs["enc"], dirs["plain"], time.Minute, s)
	if v := tree.View(); v.Plain != dirs["plain"] {
		t.Errorf("with -plain: %+v", v)
	}
	for at := range tree.Resolve("") { // of a flag that is not given
		t.Errorf("no path is %s", at)
	}
	tree = New(dirs["sub"], "", time.Minute, &stubServer{})
	must(os.Remove(dirs["sub"]))
	tree.search(time.Minute)
	if v := tree.View(); v.Sub != "sub" {
		t.Errorf("MOUNT is gone: %+v", v)
	}
}

// TestTreeCheck warns of what is wrong, but waits for the kernel to learn of a change of a root,
// such as a lock file in the plain directory, and for mounts to come to an end.
func TestTreeCheck(t *testing.T) {
	dirs := twins(t)
	reads, row := atomic.Int32{}, "||fuse.gocryptfs-reverse plain enc"
	with(t, func() mountTable {
		switch reads.Add(1) {
		case 1:
			must(os.WriteFile(filepath.Join(dirs["plain"], "lock"), nil, 0o600))
		case 5:
			alike(t, dirs)
		case 2, 6, 8:
			return table(row+"|ext4 x other", dirs)
		}
		return table(row, dirs)
	})
	tree := New(dirs["enc"], "", time.Minute, &stubServer{})
	start, problem := time.Now(), Problem("")
	tree.Check(func(p Problem, details ...any) { problem = p })
	for len(tree.searches.running) < cap(tree.searches.running) { // where it takes too long, one goes on
		time.Sleep(clockStep)
	}
	v, n := tree.View(), reads.Swap(10)
	if (v.Plain != dirs["plain"] || n != 10 || problem != "") && time.Since(start) < entryTimeout {
		t.Errorf("%+v after %d times, said %q", v, n, problem)
	}
	file := filepath.Join(dirs["other"], "file")
	must(os.WriteFile(file, nil, 0o600), os.WriteFile(filepath.Join(dirs["other"], "gocryptfs.conf"), nil, 0o600))
	for row := range strings.Lines(problems) {
		cells := strings.Split(os.Expand(strings.TrimSpace(row), func(name string) string { return dirs[name] }), "|")
		said, tree := "", New(cells[0], cells[1], time.Minute, &stubServer{})
		searched := tree.searched
		tree.Check(func(p Problem, details ...any) { said = fmt.Sprintf(string(p), details...) })
		plain := tree.View().Plain
		again := tree.searched.Sub(searched) // not at once for what will not pass
		if plain != "" || !strings.Contains(said, cells[2]) || cells[1] == "" && again > 0 && again < lookAgain {
			t.Errorf("%ssaid %q, searched again after %v", row, said, again)
		}
	}
}

// TestTreeLooks has looks that hang, panic, or follow each other at once, and another file system
// at a root.
func TestTreeLooks(t *testing.T) {
	p := newPlainTree(t, t.TempDir())
	for i := range 3000 {
		if !p.tree.Exists(encDir) || p.tree.Exists(encDir+"/none") {
			t.Fatalf("look %d was refused", i)
		}
	}
	release, tree := make(chan struct{}), p.tree
	tree.timeout = 10 * time.Millisecond
	tree.disk.stat = func(int, string, int) (file, error) { <-release; panic("a defect") }
	for range 2 {
		if tree.Exists(encDir) {
			t.Error("found by a look that hangs")
		}
	}
	close(release)
	for len(tree.looks.running) == 0 { // until it has ended
		time.Sleep(time.Millisecond)
	}
	tree.timeout = time.Minute
	panics := func() (defect any) {
		defer func() { defect = recover() }()
		return tree.Exists(encDir)
	}
	if first, again := panics(), panics(); first != "a defect" || again != "a defect" {
		t.Error("no panic")
	}
	tree.disk.stat = stat
	if !tree.Exists(encDir) {
		t.Error("no look after a panic")
	}
	for path, want := range map[string]bool{".": true, encDir: true, "..": false, encDir + "/../" + encDir: true, "/": false} {
		if tree.Exists(path) != want {
			t.Errorf("%s exists: %v", path, !want)
		}
	}
	p.change(op{create, 0})
	must(os.Symlink(encDir, p.cipher("../link")))
	if tree.Exists("link/A") || !tree.Exists("link") || !tree.Exists(encDir+"/A") {
		t.Error("a link was followed")
	}
	tree.disk.stat = func(in int, name string, flags int) (f file, err error) {
		f, err = stat(in, name, flags)
		f.mount += uint64(len(strings.TrimPrefix(name, "."))) // another one at the end of the path
		return f, err
	}
	if tree.Exists(encDir) || tree.view.problem != nil {
		t.Error("a file system was looked at that was mounted meanwhile")
	}
	p.view.ids[0]++
	tree.Exists(encDir)
	if tree.view.problem == nil {
		t.Error("another file system was taken for that of the root")
	}
	p = newPlainTree(t, t.TempDir())
	p.change(pointed(pointAndWait, 0, 0))
	if p.view.problem = wrong(NoPlain, ""); p.links() > 0 {
		t.Error("a target was found in a directory that is not known")
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
	// No mount has the root, as in some chroots, or it is that of the kernel, without another one above.
	for _, table := range []mountTable{table[2:], append(table[2:], row(3, 3, "/"))} {
		if _, m := table.locate("/a/b"); m.ID != 6 {
			t.Errorf("/a/b lies in %v, want 6", m)
		}
	}
}

// twins makes two directories with the same change time, as the roots of a view and of its plain
// directory have it, and others, by name. All are old enough to be trusted. A link
// leads to the plain one.
func twins(t *testing.T) map[string]string {
	base, err := filepath.EvalSymlinks(t.TempDir())
	must(err)
	dirs := map[string]string{"base": base, "sub": filepath.Join(base, "enc/sub")}
	for name, dir := range map[string]string{"plain": "pl_ain*", "enc": "enc", "other": "other", "link": "link"} {
		dirs[name] = filepath.Join(base, dir)
	}
	must(os.Mkdir(dirs["other"], 0o755), os.Symlink("pl_ain*", filepath.Join(base, "pl,ain*")), os.Symlink(dirs["plain"], dirs["link"]))
	alike(t, dirs)
	time.Sleep(entryTimeout)
	return dirs
}

// alike makes the two directories with the same change time. Both look encrypted: the plain
// one may hold a copy of another view.
func alike(t *testing.T, dirs map[string]string) {
	for range 1000 {
		must(os.RemoveAll(dirs["plain"]), os.RemoveAll(dirs["enc"]), os.MkdirAll(dirs["sub"], 0o755), os.Mkdir(dirs["plain"], 0o755))
		must(os.Mkdir(filepath.Join(dirs["enc"], "gocryptfs.conf"), 0o755), os.Mkdir(filepath.Join(dirs["plain"], "gocryptfs.conf"), 0o755))
		if (&search{}).sameRoot(&view{dir: dirs["enc"], known: View{Plain: dirs["plain"]}}) {
			return
		}
	}
	t.Fatal("no two directories with the same change time")
}
