package decode

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"gocryptfs-rsync-pretty/decode/scan"
)

// Forms in which rsync, openrsync and linux-timemachine print a name, from the source of
// rsync 3.1.3 to 3.5.0 and from running it. Of 444 lines, these are the ones in which a
// name of some kind stands between two bytes for the first time. In a line
//
//	{a/b}     is a path from the root of the tree
//	{a|b}     is that of b in the directory a, without the path of a
//	{@a/b}    is the target of the symbolic link a/b
//
// encrypted in the input, and in plain in the output. What a line names exists.
var forms = []struct {
	about string
	lines []string
}{
	{"name lines", []string{
		"{a file.txt}",
		"{Photos}/",
		"{Photos/Summer in Zürich/lake (1).jpg}",
		"mount/{Photos/Summer in Zürich}/",
		"{best photo} -> {@best photo}",
		"mount/{dir/best photo} -> {@dir/best photo}",
		"{a file.txt} => {hard/link too}",
		"mount/{hard/link} => mount/{hard/link too}",
		"created directory /srv/backup/{Photos}",
		"home/me/mount/{Photos}/",
	}},
	{"itemized lines", []string{
		">f+++++++++ {a file.txt}",
		"cd+++++++++ {Photos}/",
		"cL+++++++++ {best photo} -> {@best photo}",
		"hf+++++++++ {dir/a} => {dir/b}",
	}},
	{"--out-format", []string{
		"[{Photos/lake.jpg}]",
		"<{Photos/lake.jpg}>",
		`"{Photos/lake.jpg}"`,
		"'{Photos/lake.jpg}'",
		"({Photos/lake.jpg})",
		"{Photos/lake.jpg}|123",
		"{Photos/lake.jpg},123",
		"{Photos/lake.jpg};123",
		"`{Photos/lake.jpg}`",
		"*{Photos/lake.jpg}*",
		"#{Photos/lake.jpg}!",
		"%{Photos/lake.jpg}%",
		"@{Photos/lake.jpg}@",
		"&{Photos/lake.jpg}&",
		"+{Photos/lake.jpg}+",
		":{Photos/lake.jpg}:",
		"\t{Photos/lake.jpg}\t",
		"\\{Photos/lake.jpg}\\",
		"?{Photos/lake.jpg}?",
		"é{Photos/lake.jpg}é",
		"\x00{Photos/lake.jpg}\x00",
		"\xff{Photos/lake.jpg}\xff",
		"={Photos/lake.jpg}",
		"{a}={b}",
		"{Photos/lake.jpg}=123",
		"size=123,name={Photos/lake.jpg},x=y",
		"~{Photos/lake.jpg}~",
		".{Photos/lake.jpg}.",
		"{Photos/lake.jpg}.",
		">f+++++++++{Photos/lake.jpg}",
		".d..t......{Photos}/",
		"del.{gone}",
		"del.:*deleting  :{gone}::",
		"{Photos/lake.jpg}         ;",
		`{"op":"send","name":"{Photos/lake.jpg}","file":"srv/mount/{Photos/lake.jpg}","what":">f+++++++++"},`,
		`{"name":"{dir/link} -> {@dir/link}"}`,
		"[{dir/link}]<src/{dir/link}>send|cL+++++++++| -> {@dir/link}",
		`["{a}","{b}"]`,
		"<name>{Photos/lake.jpg}</name>",
		"{dir/link}: -> {@dir/link}",
		"{dir/link} -> {@dir/link}.",
		"{dir/link} -> {@dir/link} 123",
		"%{a file.txt}", // %%n before 3.5.0
	}},
	{"information", []string{
		`ignoring unsafe symlink "{dir/link}" -> "{@dir/link}"`,
		"backed up {a} to {a}~",
		"backed up {dir/a} to {dir/a}~",
		"backed up {dir/a} to {dir/a}.bak",
		"backed up {dir/a} to ../old/{dir/a}.old",
		`rsync: [generator] copy_file "/old/{dir/a}" => {dir/a}: No space left on device (28)`,
		"set modtime of .{a}.VxgLwC to (1795361551) Sun Nov 22 17:52:31 2026",
		"set modtime of {dir}/.{dir|a}.VxgLwC to (1795361551) Sun Nov 22 17:52:31 2026",
	}},
	{"errors with a full name", []string{
		`rsync: [sender] change_dir "/m/{dir}" failed: Permission denied (13)`,
		`rsync: failed to open files-from file lists/{dir/a}: No such file or directory`,
	}},
	{"errors with a bare name", []string{
		"could not make way for new backup directory: old/{dir/a}~",
		"overflow: xflags=0x1 l1=0 l2=22 lastname={dir/a} [receiver]",
		"rsync: [sender] get_acl: sys_acl_get_file({dir/a}, ACL_TYPE_ACCESS): Operation not supported (95)",
		"rsync: [receiver] sys_acl_delete_def_file({dir}): Operation not supported (95)",
		"Unexpected remote arg: host:{dir/a}",
		"Unknown filter rule: `{dir/a}'",
	}},
	{"errors with two paths", []string{
		`rsync: [receiver] rename failed for "/dst/{dir/a}" (from {dir}/.~tmp~/{dir|a}): Is a directory (21)`,
		`rsync: [receiver] rename failed for "/dst/{a}" (from .~tmp~/{a}): Is a directory (21)`,
		`rsync: [generator] keep_backup failed: "/dst/{a}" -> "{a}~": No space left on device (28)`,
		`rsync: [generator] keep_backup failed: "/dst/{dir/a}" -> "{dir/a}.bak": No space left on device (28)`,
		"rsync: [generator] backup mkdir old/{dir} failed: Permission denied (13)",
	}},
	{"temporary, partial and backup names", []string{
		`"/tmp/{a}.a1B2c3"`, // -T; in a directory: see undecodable
		"{dir}/.partial/{dir|a}",
		"{dir/a}~",
		"{dir/a}+",
		"{dir/a}#",
		"{dir}~/{dir|a}~",
		"{dir}.old/{dir|a}.old",
	}},
	{"debugging", []string{
		"[receiver] i=2 1 {dir/sub}/ mode=040755 len=4 uid=0 gid=0 flags=1000",
		"send_files(7, /m/{dir/a})",
		"recv mapped {dir}/.partial/{dir|a} of size 4",
		"mount point, {dir/sub}, pins parent directory",
		"[receiver] add_implied_include({dir}/)",
	}},
	{"daemon", []string{
		"@ERROR: Unknown module '{dir}'",
		`Running socket program: "nc {dir/a}"`,
	}},
	{"progress", []string{
		"{dir/a}\n\r              4 100%    0.36kB/s    0:00:00  \r              4 100%    0.36kB/s    0:00:00 (xfr#2, to-chk=6/9)",
		"\r          1,234 100%    0.36kB/s    0:00:00 (xfr#2, to-chk=6/9)\n\r{dir/a}",
		"building file list ... \n 0 files...\r9 files to consider\n{dir/a}",
		"{dir/a}\r\n{dir/b}\r\n\r\n{dir/c}",
	}},
	{"openrsync", []string{
		"openrsync(1234): error: dst//./{dir}: not empty, cannot delete",
		"openrsync(1234): hard link '/m/{dir/a}'",
		"openrsync(1234): error: Error while making hard link '{dir/a} => {dir/b}'",
	}},
	{"timemachine", []string{
		`2026-11-22 17:24:40 timemachine: [INFO]  $ rsync  '/it'\''s/mount/{dir}' '/srv/.inprogress'`,
	}},
	{"long links", []string{
		"{far} -> /rsyncd-munged/{@far}",
	}},
	{"munged links", []string{
		`ignoring unsafe symlink "{dir/link}" -> "/rsyncd-munged/{@dir/link}"`,
	}},
}

// undecodable are forms in which a name stays encrypted, in whole or in part, with
// the reason. want is the output; {!a} in it is a name that stays encrypted.
var undecodable = []struct{ why, line, want string }{
	{"an alphanumeric --suffix is attached to the name: nothing shows where that ends",
		"backed up {dir/a} to {dir/a}OLD", "backed up dir/a to dir/{!dir|a}OLD"},
	{"--out-format '%n%n' glues two names together", "{dir/a}{dir/a}", "dir/{!dir|a}{!dir}/a"},
	{"so does a letter or a digit", "%o%n: send{a} %l%n: 15{a}", "%o%n: send{!a} %l%n: 15{!a}"},
	{"with -T DIR the directory of the name is dropped, which reverse mode needs",
		`rsync: [receiver] mkstemp "/tmp/{dir|a}.VxgLwC" failed: Permission denied (13)`,
		`rsync: [receiver] mkstemp "/tmp/{!dir|a}.VxgLwC" failed: Permission denied (13)`},
	{"so it is with a --partial-dir elsewhere", "/var/partial/{dir|a}", "/var/partial/{!dir|a}"},
	{"a word as long as the shortest target is one, after an arrow",
		"renamed '{a}' -> '{a name of more than 32 bytes, so 64 characters}'", "renamed 'a' -> '{!a name of more than 32 bytes, so 64 characters}'"},
}

// Forms in which names are changed, or must not be decoded.
var tokens = []struct{ why, line, want string }{
	{"a control character is escaped", "{dir/new\nline}\t{dir/tab\tbed}", `dir/new\#012line` + "\tdir/tab\tbed"},
	{"so is what looks like an escape", `{hash\#123}`, `hash\#134#123`},
	{"no escape for other characters", `{it's "q" \ -> => %s 日本 🎉}`, `it's "q" \ -> => %s 日本 🎉`},
	{"a plain name is not looked at again", "{TheQuickBrownFoxJumpsg}", "TheQuickBrownFoxJumpsg"},
	{"gocryptfs.diriv is a leaf of the directory", "{dir}/gocryptfs.diriv", "dir/gocryptfs.diriv"},
	{"at the root, too", "mount/gocryptfs.diriv gocryptfs.conf", "mount/gocryptfs.diriv gocryptfs.conf"},
	{"while it is made", `"/dst/{dir}/.gocryptfs.diriv.VxgLwC"`, `"/dst/dir/.gocryptfs.diriv.VxgLwC"`},
	{"backed up", "{dir}/gocryptfs.diriv~", "dir/gocryptfs.diriv~"},
	{"a name below what does not decrypt stays", "{dir}/{!gone|x}/{!gone/x|y}", "dir/{!gone|x}/{!gone/x|y}"},
	{"nor is a foreign leaf", "{dir}/TheQuickBrownFoxJumpsg", "dir/TheQuickBrownFoxJumpsg"},
	{"a directory that is no name ends the chain", "{dir}/photos/{dir|a}", "dir/photos/a"},
	{"what follows is then a path from the root", "{dir}/photos/{dir/a}", "dir/photos/dir/a"},
	{"so it is after a step to the parent", "{dir}/../{dir|a}", "dir/../a"},
	{"a pattern without a slash", "[sender] hiding file {dir/a} because of pattern {dir|a}", "[sender] hiding file dir/a because of pattern a"},
	{"a dated backup", "backed up {dir/a} to {dir/a}-2026-11-23", "backed up dir/a to dir/a-2026-11-23"},
	{"nothing after the dash", "{dir/a}- {dir/b}_", "dir/a- dir/b_"},
	{"the last bytes are the start of a directory with a dot", "{dir}/.a", "dir/.a"},
	{"of a directory", "{dir}_bak/{dir|a}-old {dir}-2026-11-23/{dir/sub|b}_1", "dir_bak/a-old dir-2026-11-23/{!dir/sub|b}_1"},
	{"colors", "\x1b[31m{a}\x1b[m \x1b[01;34m{dir}\x1b[0m\x1b[K/\x1b[1A{c} \x1b(B{a} \x9b1G{b}\x1b[2K", "\x1b[31ma\x1b[m \x1b[01;34mdir\x1b[0m\x1b[K/\x1b[1Ac \x1b(Ba \x9b1Gb\x1b[2K"},
	{"sequences without a bracket", "\x1b7{a}\x1b8 \x1b(0{b}\x1b(B{c}", "\x1b7a\x1b8 \x1b(0b\x1b(Bc"},
	{"a color between a directory and its file", "\x1b[34m{dir}/\x1b[0m\x1b[1m{dir|a}\x1b[0m", "\x1b[34mdir/\x1b[0m\x1b[1ma\x1b[0m"},
	{"diff -rq", "Only in {dir/sub}: {dir/sub|b}", "Only in dir/sub: b"},
	{"inotifywait", "{dir/sub}/ CREATE {dir/sub|b}", "dir/sub/ CREATE b"},
	{"JSON", `{"path":"/x/{dir/a}","name":"{dir|a}"}`, `{"path":"/x/dir/a","name":"a"}`},
	{"ls -R", "./{dir/sub}:\n{dir/sub|b}  {dir/sub|a}\n\n{dir}:\n{dir|a}", "./dir/sub:\nb  a\n\ndir:\na"},
	{"what is in another directory", "other:\n{dir|a}\n", "other:\n{!dir|a}\n"},
	{"after another directory", "{dir}:\n{dir|a}\n\nother:\n{dir|a}\n", "dir:\na\n\nother:\n{!dir|a}\n"},
	{"links, as openrsync has them", "openrsync(1234): {dir/link}: updating symlink: {@dir/link}", "openrsync(1234): dir/link: updating symlink: " + plainTarget("dir/link")},
	{"in quotes", "Making symbolic link `{dir/link}' to `{@dir/link}'", "Making symbolic link `dir/link' to `" + plainTarget("dir/link") + "'"},
	{"as JSON", `{"path":"{dir/link}","linktarget":"{@dir/link}"}`, `{"path":"dir/link","linktarget":"` + plainTarget("dir/link") + `"}`},
	{"but not of a link that the path goes on from", "{dir/link}/{!gone|x} -> {@dir/link}", "dir/link/{!gone|x} -> {!@dir/link}"},
	{"but not of a link in another record", "{dir/link}\n{@dir/link}", "dir/link\n{!@dir/link}"},
	{"two chains in one line", "{dir/a} {dir/b},{c}", "dir/a dir/b,c"},
	{"neither 21 nor 23 characters", "TheQuickBrownFoxJumps TheQuickBrownFoxJumpsAA", "TheQuickBrownFoxJumps TheQuickBrownFoxJumpsAA"},
}

// Rules for names without padding. The shortest of these are too short for the target
// of a link.
var shortTokens = []struct{ why, line, want string }{
	{"a letter in front makes it another word", "x{a}", "x{!a}"},
	{"a letter after it, too", "{a}x", "{!a}x"},
	{"an arrow before a short word: a path", "{dir/a} -> {a}", "dir/a -> a"},
	{"with a suffix that makes it as long as another name", "backed up {dir/a} to {dir/a}-2026-11-22__17-24-40 {dir|a}-backup-20261123-0310 {dir/sub/a}-2026-11-22__17-24-40/{dir/sub/a|b}",
		"backed up dir/a to dir/a-2026-11-22__17-24-40 a-backup-20261123-0310 dir/sub/a-2026-11-22__17-24-40/b"},
}

// TestForms decodes every form, for several kinds of gocryptfs file systems.
func TestForms(t *testing.T) {
	for _, fs := range fileSystems {
		t.Run(fs.name, func(t *testing.T) {
			w := newWorld(t, fs)
			for _, group := range forms {
				for _, line := range group.lines {
					w.check(t, group.about, line, shown(line))
				}
			}
			for _, row := range tokens {
				if w.alike {
					break // there, names decode in any place
				}
				w.check(t, row.why, row.line, w.encrypted(row.want))
			}
			if w.cut {
				w.checkCut(t)
			}
			t.Logf("%d lines", len(w.checked))
		})
	}
}

// TestUndecodable checks that the list of what cannot be decoded is right.
func TestUndecodable(t *testing.T) {
	w := newWorld(t, fileSystems[0])
	for _, row := range slices.Concat(undecodable, shortTokens) {
		w.check(t, row.why, row.line, w.encrypted(row.want))
	}
	w.checkCut(t)
}

// inside are lines of a sync of mount/ENC/ENC/, given as MOUNT, whose plain path is
// dir/sub.
var inside = []struct{ why, line, want string }{
	{"a name is below MOUNT", "{dir/sub|a}", "a"},
	{"deeper", "deleting {dir/sub|b/c d}/", "deleting b/c d/"},
	{"a temporary one", `"/dst/.{dir/sub|a}.VxgLwC"`, `"/dst/.a.VxgLwC"`},
	{"a link", "{dir/sub|link} -> {@dir/sub/link}", "link -> " + plainTarget("dir/sub/link")},
	{"an absolute one is whole", `"/home/me/mount/{dir/sub/b/c d}"`, `"/home/me/mount/dir/sub/b/c d"`},
	{"rsync -R, too", "mount/{dir/sub}/", "mount/dir/sub/"},
	{"and a parent of MOUNT", `change_dir "/home/me/mount/{dir}"`, `change_dir "/home/me/mount/dir"`},
	{"what is not below MOUNT", "mount/{other/a}", "mount/other/a"},
	{"its own name first, without a slash after the source", "{dir|sub/b/c d}", "sub/b/c d"},
	{"alone", "created directory {dir|sub}", "created directory sub"},
	{"a foreign directory before it", "TheQuickBrownFoxJumpsg/{dir/sub|b/c d}", "TheQuickBrownFoxJumpsg/b/c d"},
}

// TestInside decodes with a MOUNT that is a directory inside the encrypted view.
func TestInside(t *testing.T) {
	for _, fs := range fileSystems {
		t.Run(fs.name, func(t *testing.T) {
			w := newWorld(t, fs)
			w.sub = w.cipherPath("dir/sub")
			for _, row := range inside {
				w.check(t, row.why, row.line, w.encrypted(row.want))
			}
			w.checkCut(t)
		})
	}
}

// TestDashInTarget reads the target of a link, without an arrow, that begins like a name
// with a suffix when it is encrypted.
func TestDashInTarget(t *testing.T) {
	w := newWorld(t, fileSystems[0])
	for i := range 100_000 {
		link := fmt.Sprintf("dir/odd %d", i)
		if c := w.cipherTarget(link); c[22] != '-' || !strings.Contains("AQgw", c[21:22]) {
			continue
		}
		line := "{" + link + "}: updating symlink: {@" + link + "}"
		w.add(line)
		w.check(t, "a dash in a target", line, link+": updating symlink: "+plainTarget(link))
		count, err := Copy(io.Discard, strings.NewReader(w.encrypted(line)), Options{Names: w, Files: w})
		if want := (Stats{Decoded: 2}); err != nil || count != want {
			t.Errorf("%+v, %v, want %+v", count, err, want)
		}
		return
	}
	t.Fatal("no such target")
}

// TestShape checks that exactly the words that gocryptfs can have made are asked for.
func TestShape(t *testing.T) {
	word := strings.Repeat("Ab-_9z", 50)
	lengths := []int{22, 43, 64, 86, 107, 128, 150, 171, 192, 214, 235} // of k·16 bytes
	for n := range 300 {
		// By the zero bits at its end. Two characters after a multiple of four hold
		// 12 bits, of which 4 are spare; of three characters, 2 bits are spare.
		for last, zeros := range map[string]int{"A": 6, "Q": 4, "E": 2, "B": 0} {
			w := word[:n] + last
			spare := [4]int{2: 4, 3: 2}[len(w)%4]
			want := slices.Contains(lengths, len(w)) && zeros >= spare
			asked := false
			names := namesFunc(func(cipher string) (string, bool) {
				asked = asked || cipher == w
				return "", false
			})
			copyAll(t, strings.NewReader("x "+w+" y\n"), Options{Names: names})
			if asked != want {
				t.Errorf("%d characters with %s at the end: asked %v, want %v", len(w), last, asked, want)
			}
		}
	}
}

// A fileSystem is a kind of gocryptfs file system. blocks returns the number of
// 16-byte blocks for a name of n bytes.
type fileSystem struct {
	name   string
	blocks func(n int) int
	padded bool // old file systems: with `=`
	long   bool // -longnamemax 62: nearly all are long names
	alike  bool // -deterministic-names: a name is the same in each directory
	cut    bool // the lines are also cut everywhere, which takes time
}

func byLength(n int) int { return n/16 + 1 }

var fileSystems = []fileSystem{
	{name: "usual", blocks: byLength, cut: true},
	{name: "43 characters", blocks: func(int) int { return 2 }},
	{name: "64 characters", blocks: func(int) int { return 3 }}, // no spare bits
	{name: "235 characters", blocks: func(int) int { return 11 }},
	{name: "padded", blocks: byLength, padded: true},
	{name: "padded to 44", blocks: func(int) int { return 2 }, padded: true},
	{name: "long names", long: true},
	{name: "deterministic names", blocks: byLength, alike: true},
	{name: "padded long names", long: true, padded: true, cut: true},
}

// A world is a file system with all paths of the lines.
type world struct {
	fileSystem
	names map[string]string // plain paths by cipher path
	sub   string            // MOUNT

	checked []pair
}

func newWorld(t *testing.T, kind fileSystem) *world {
	t.Helper()
	w := &world{fileSystem: kind, names: map[string]string{}}
	for _, group := range forms {
		for _, line := range group.lines {
			w.add(line)
		}
	}
	for _, row := range slices.Concat(undecodable, tokens, shortTokens, inside) {
		w.add(row.line)
	}
	return w
}

// add takes note of the files that a line names.
func (w *world) add(line string) {
	for _, p := range placeholder.FindAllString(line, -1) {
		p = strings.ReplaceAll(p[1:len(p)-1], "|", "/")
		if strings.HasPrefix(p, "!") {
			continue
		}
		p = strings.TrimPrefix(p, "@")
		cipher := w.cipherPath(p)
		for ; p != "."; p, cipher = filepath.Dir(p), filepath.Dir(cipher) {
			w.names[cipher] = p
			if w.alike {
				w.names[filepath.Base(cipher)] = filepath.Base(p)
			}
		}
	}
}

// A pair is an encrypted line and the decoded one, with their ends.
type pair struct{ about, line, in, want string }

// check decodes a line.
func (w *world) check(t *testing.T, about, line, want string) {
	t.Helper()
	w.checkText(t, about, line, w.encrypted(line), want)
}

// checkText decodes in, which a line stands for.
func (w *world) checkText(t *testing.T, about, line, in, want string) {
	t.Helper()
	if got := w.decode(t, strings.NewReader(in)); got != want {
		t.Errorf("%s: %s\ngot  %q\nwant %q", about, line, got, want)
		return
	}
	w.checked = append(w.checked, pair{about, line, in + "\n", want + "\n"})
}

// checkCut decodes again the lines that have passed check: byte by byte, and cut once
// at every byte of each line.
func (w *world) checkCut(t *testing.T) {
	t.Helper()
	var all strings.Builder
	var pieces []string
	for _, p := range w.checked {
		all.WriteString(p.in)
		for i := range p.in {
			pieces = append(pieces, p.in[:i+1], p.in[i+1:])
		}
	}
	bytewise := w.decode(t, iotest.OneByteReader(strings.NewReader(all.String())))
	cut := w.decode(t, inPieces(pieces...))
	for _, p := range w.checked {
		p.begins(t, &bytewise, "byte by byte")
		for i := range p.in {
			p.begins(t, &cut, fmt.Sprintf("cut after byte %d", i))
		}
	}
	if bytewise+cut != "" {
		t.Errorf("there is more: %q", bytewise+cut)
	}
}

// begins checks that text begins with what is wanted, and removes it.
func (p pair) begins(t *testing.T, text *string, how string) {
	t.Helper()
	rest, ok := strings.CutPrefix(*text, p.want)
	if !ok {
		// The rest is out of step.
		t.Fatalf("%s: %s, %s\ngot  %.300q\nwant %q", p.about, p.line, how, *text, p.want)
	}
	*text = rest
}

func (w *world) decode(t *testing.T, r io.Reader) string {
	t.Helper()
	return copyAll(t, r, Options{Names: w, Files: w})
}

// Prepare and Decrypt know the paths of the lines.
func (*world) Prepare(string) bool { return true }

func (w *world) Decrypt(cipher string) (string, bool) {
	if !w.alike {
		plain, ok := w.names[cipher]
		return plain, ok
	}
	names := strings.Split(cipher, "/")
	for i, n := range names {
		plain, ok := w.names[n]
		if !ok {
			return "", false
		}
		names[i] = plain
	}
	return strings.Join(names, "/"), true
}

// Sub, Exists, Spelling and Target know the files of the lines. Any path may be a link.
func (w *world) Sub() string { return w.sub }

func (*world) Encrypt(string) (string, bool) { panic("a view in reverse mode needs no proof") }

func (*world) Reverse() bool { return true }

func (w *world) Deterministic() bool { return w.alike }

func (w *world) Exists(cipher string) bool { return w.names[cipher] != "" }

func (*world) Same(string, string) bool { panic("a view in reverse mode needs no proof") }

func (*world) Spelling(string, string, bool) (string, int, bool) { return "", 0, false }

func (w *world) Target(_, plain string, text []byte) (string, bool) {
	return plainTarget(plain), string(text) == w.cipherTarget(plain)
}

// cipherPath returns the cipher path of a plain one.
func (w *world) cipherPath(plain string) string {
	var b strings.Builder
	for i, c := range plain + "/" {
		if c == '/' {
			b.WriteString(w.cipherName(plain[:i]))
			b.WriteByte('/')
		}
	}
	return strings.TrimSuffix(b.String(), "/")
}

// cipherName returns the encrypted name of the last component of plain. As in reverse
// mode, it depends on the directory.
func (w *world) cipherName(plain string) string {
	if w.alike {
		plain = filepath.Base(plain)
	}
	if w.long {
		return scan.LongPrefix + w.encode(random(plain, sha256.Size))
	}
	return w.encode(random(plain, 16*w.blocks(len(filepath.Base(plain)))))
}

// plainTarget returns the target of the symbolic link plain: either 32 bytes, so that
// the encrypted target is as long as a name, 86 characters, or so many that it is
// longer than any name.
func plainTarget(plain string) string {
	target := "../where it points to/"
	switch base := filepath.Base(plain); {
	case base == "far":
		target = strings.Repeat(target, 10)
	case strings.HasPrefix(base, "odd"):
		target += "."
	}
	return target + base64.RawURLEncoding.EncodeToString(random(plain, 7))
}

func (w *world) cipherTarget(plain string) string {
	return w.encode(random("target of "+plain, 16+len(plainTarget(plain))+16))
}

func (w *world) encode(b []byte) string {
	if w.padded {
		return base64.URLEncoding.EncodeToString(b)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// random returns n pseudorandom bytes for a seed.
func random(seed string, n int) []byte {
	var b []byte
	for len(b) < n {
		sum := sha256.Sum256(append([]byte(seed), b...))
		b = append(b, sum[:]...)
	}
	return b[:n]
}

// placeholder is a name in a line.
var placeholder = regexp.MustCompile(`\{[^{}"][^{}]*\}`)

// encrypted returns a line with its names encrypted.
func (w *world) encrypted(line string) string {
	return placeholder.ReplaceAllStringFunc(line, func(p string) string {
		p = strings.TrimPrefix(p[1:len(p)-1], "!")
		if link, ok := strings.CutPrefix(p, "@"); ok {
			return w.cipherTarget(link)
		}
		dir, below, ok := strings.Cut(p, "|")
		if !ok {
			return w.cipherPath(p)
		}
		return strings.TrimPrefix(w.cipherPath(dir+"/"+below), w.cipherPath(dir)+"/")
	})
}

// shown returns a line with its names in plain.
func shown(line string) string {
	return placeholder.ReplaceAllStringFunc(line, func(p string) string {
		p = p[1 : len(p)-1]
		if link, ok := strings.CutPrefix(p, "@"); ok {
			return plainTarget(link)
		}
		return p[strings.Index(p, "|")+1:]
	})
}
