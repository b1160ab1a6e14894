package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Names are found by their shape, so the text of other tools decodes as well: the
// same command over the plain tree says what has to come out. As in the oracle,
// the trees are P/src and E/src, and the commands run in P and in E.

// toolTree has no names that the tools quote, escape or leave out by themselves,
// such as those with control characters, apostrophes or a leading dot.
func toolTree() []row {
	state := func(kind string, paths ...string) (rows []row) {
		for _, p := range paths {
			rows = append(rows, row{path: p, was: kind})
		}
		return rows
	}
	return slices.Concat(
		state("file 1",
			"plain.txt", "with blanks in it", umlautFile, "日本語の名前.txt", "🎉 party 🥳.jpg",
			lookalike, "100% -> done", "colon: (paren)",
			spaceDir+"/Letter to Ann.odt", spaceDir+"/Ümläut.txt", spaceDir+"/sub/one",
			deepDir+"/seven", lookalike+"gh0Q/"+lookalike,
			long("long für ", 200), long("dir ", 230)+"/"+long("below ", 190), long("dir ", 230)+"/short"),
		state("dir", "empty"),
		state("pipe", "a pipe"),
		state("-> plain.txt", "a link"),
		state("-> ../"+umlautFile, spaceDir+"/link upwards"),
		state("-> /no/such file", "dangling ü"),
		state("= plain.txt", "hard link"),
	)
}

// tool is a command whose output is compared.
type tool struct {
	sh    string
	mount string // plain path of MOUNT, if that is a directory of the view
	lacks string // a program that not every machine has
}

var toolCommands = []tool{
	{sh: "find src"},
	{sh: "find $PWD/src -type f"},
	{sh: "find src -ls"},
	{sh: `find src -printf '[%p] "%P"\n'`},
	{sh: "find src -print0"},
	{sh: "find src -exec stat -c '%n|%F' {} +"},
	{sh: "cd src; ls"},
	{sh: "cd src; ls -l"},
	{sh: "cd src; ls -F --full-time"},
	{sh: "ls -l src/{" + spaceDir + "}", mount: spaceDir},
	{sh: "ls -d src/* $PWD/src/*/*"},
	{sh: "du -a src"},
	{sh: "du -ah --apparent-size $PWD/src"},
	{sh: "tar cf - src | tar tf -"},
	{sh: "tar cf - src | tar tvf -"},
	{sh: "tar cvf /dev/null src"},
	{sh: "tar cvf /dev/null -C src ."},
	{sh: "cp -rv src dst"},
	{sh: "cp -a src dst; rm -rv dst"},
	{sh: "cp -a src dst; chmod -Rv a+w dst"},
	{sh: "grep -rl '' src"},
	{sh: "find src -type f -exec sha256sum {} +"},
	{sh: "find src -type f -exec md5sum --tag {} +"},
	{sh: "find src -type f -exec wc -c {} +"},
	{sh: "ls no/such src/{" + umlautFile + "}/x src/{" + spaceDir + "/sub}/x"},
	{sh: "cat src/{empty}"},
	{sh: "git init -q --bare git; git --git-dir git --work-tree src status --porcelain -z -uall"},
	{sh: "git init -q --bare git; git --git-dir git --work-tree src ls-files -oz; git --git-dir git --work-tree src add -nv ."},
	{sh: "exec 3<src/{" + spaceDir + "/sub/one}; lsof -w -a -p $$ -d 3 -Fn", lacks: "lsof"},
}

// fields are what differs in the two trees, besides the names. An encrypted file
// is longer by 18 bytes and 32 for each block of 4 kB; a link, whose target is
// encrypted, too; a directory has entries of other lengths. The devices differ,
// inode numbers may, and so do the hashes.
var fields = []rule{
	{regexp.MustCompile(`^ *\d+ +\d+ ([-dlp][-rwxst]{9} +\d+ \S+ +\S+) +\d+ `), "$1 N "}, // find -ls
	{regexp.MustCompile(`^([-dlp][-rwxst]{9} +\d+ \S+ +\S+) +\d+ `), "$1 N "},            // ls -l
	{regexp.MustCompile(`^([-dlp][-rwxst]{9} \S+/\S+) +\d+ `), "$1 N "},                  // tar tv
	{regexp.MustCompile(`^total \d+$`), "total N"},
	{regexp.MustCompile(`^[0-9.]+[KM]?\t`), "N\t"}, // du
	{regexp.MustCompile(`^[0-9a-f]{64}  `), "HASH  "},
	{regexp.MustCompile(` = [0-9a-f]{32}$`), " = HASH"},
	{regexp.MustCompile(`^ *\d+ (src/|total$)`), "N $1"}, // wc
	{regexp.MustCompile(`^p\d+$`), "pN"},                 // lsof
	// git quotes only what needs it, and no encrypted name does.
	{regexp.MustCompile(`^add '(.*)'$`), "add $1"},
}

func TestTools(t *testing.T) {
	need(t, "git", "tar", "find", "grep")
	for _, s := range servers(t) {
		t.Run(s.Name, func(t *testing.T) {
			base := shortDir(t)
			plain, view := filepath.Join(base, "P/src"), filepath.Join(base, "E/src")
			buildTree(t, plain, toolTree())
			m := mountReverse(t, s, plain, view)
			compared := 0
			for _, c := range toolCommands {
				compared += compareTool(t, m, base, c)
			}
			t.Logf("%d commands, %d lines", len(toolCommands), compared)
		})
	}
}

// compareTool runs a command on both sides and returns how many lines it compared.
func compareTool(t *testing.T, m *mount, base string, c tool) int {
	t.Helper()
	if c.lacks != "" {
		if _, err := exec.LookPath(c.lacks); err != nil {
			t.Logf("%s is left out: %v", c.sh, err)
			return 0
		}
	}
	mountArg := m.Dir
	if c.mount != "" {
		mountArg = filepath.Join(m.Dir, m.encrypt(t, c.mount))
	}
	raw := runTool(t, m, base, "E", c.sh)
	shown, warnings := pretty(t, []string{m.Sock, mountArg}, raw)
	if warnings != "" {
		t.Errorf("%s: stderr: %s", c.sh, warnings)
	}
	want := toolLines(base, "P", string(runTool(t, m, base, "P", c.sh)))
	got := toolLines(base, "E", shown)
	if len(want) == 0 {
		t.Errorf("%s: printed nothing", c.sh)
	}
	if missing, extra := difference(want, got); len(missing)+len(extra) > 0 {
		t.Errorf("%s\nwant %s\ngot  %s", c.sh, visible(missing, "\nwant "), visible(extra, "\ngot  "))
	}
	return len(want)
}

// runTool runs a script in P or E, and removes what it made beside the tree.
// {path} is a plain path, encrypted in E.
func runTool(t *testing.T, m *mount, base, side, script string) []byte {
	t.Helper()
	dir := filepath.Join(base, side)
	script = placeholder.ReplaceAllStringFunc(script, func(p string) string {
		if p = p[1 : len(p)-1]; side == "E" {
			p = m.encrypt(t, p)
		}
		return "'" + p + "'"
	})
	cmd := exec.Command("sh", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC")
	out, _ := cmd.CombinedOutput() // some are to fail
	for _, made := range []string{"dst", "git"} {
		if err := os.RemoveAll(filepath.Join(dir, made)); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// toolLines returns the lines that must be the same on both sides, sorted.
func toolLines(base, side, text string) []string {
	text = strings.ReplaceAll(text, filepath.Join(base, side), "/BASE")
	var lines []string
	for _, line := range strings.FieldsFunc(text, func(c rune) bool { return c == '\n' || c == 0 }) {
		if housekeeping.MatchString(line) {
			continue
		}
		for _, r := range fields {
			line = r.what.ReplaceAllString(line, r.with)
		}
		lines = append(lines, backslash.ReplaceAllStringFunc(line, unquoteByte))
	}
	slices.Sort(lines)
	return lines
}

// backslash is a byte as find -ls writes those that are no plain characters.
var backslash = regexp.MustCompile(`\\([0-7]{3}|.)`)

func unquoteByte(s string) string {
	b, err := strconv.ParseUint(s[1:], 8, 8)
	if len(s) < 4 || err != nil {
		return s[1:]
	}
	return string([]byte{byte(b)})
}

// TestToolsBareNames shows what can be known of a name without its directory, as
// `ls -R` prints it below the line with that.
func TestToolsBareNames(t *testing.T) {
	for _, s := range servers(t) {
		for _, opt := range []string{"", "-deterministic-names"} {
			t.Run(s.Name+opt, func(t *testing.T) {
				base := shortDir(t)
				plain, view := filepath.Join(base, "plain"), filepath.Join(base, "view")
				buildTree(t, plain, []row{{path: "dir/sub/leaf", was: "file 1"}, {path: "dir/below", was: "file 1"}, {path: "top", was: "file 1"}})
				m := mountReverse(t, s, plain, view, strings.Fields(opt)...)
				out, err := exec.Command("ls", "-R", view).Output()
				if err != nil {
					t.Fatal(err)
				}
				shown, _ := pretty(t, []string{m.Sock, view}, out)
				want := slices.Sorted(slices.Values([]string{view + ":", "dir", "top", view + "/dir:", view + "/dir/sub:", "below", "sub", "leaf"}))
				got := slices.DeleteFunc(strings.Fields(shown), housekeeping.MatchString)
				slices.Sort(got)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("ls -R (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestRandomWords gives 12,000 words to real servers that could be names and are
// none. About one in 280 decrypts to something all the same.
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

// TestRandomWordsBelow gives 200,000 words with and without suffixes to a real server,
// each after the path of a directory that it might be in.
func TestRandomWordsBelow(t *testing.T) {
	const n = 200_000
	dir := shortDir(t)
	m := mountReverse(t, servers(t)[0], filepath.Join(dir, "a"), filepath.Join(dir, "b"))
	if err := os.MkdirAll(filepath.Join(m.Plain, "a dir/below"), 0o755); err != nil {
		t.Fatal(err)
	}
	below := m.encrypt(t, "a dir/below")
	var in, want bytes.Buffer
	suffixes := []string{"", "-2026-11-23", "_bak", "-old", "~"}
	for i, line := range strings.Split(strings.TrimSuffix(wordLines(n), "\n"), "\n") {
		word := strings.Fields(strings.TrimPrefix(line, "Commit "))[0] + suffixes[i%len(suffixes)]
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

// wordLines returns n words in text: one half of 22 characters, the other of 64
// hexadecimal digits.
func wordLines(n int) string {
	var seed [32]byte
	random := rand.NewChaCha8(seed)
	var b bytes.Buffer
	var word [32]byte
	for i := range n {
		random.Read(word[:]) // never fails
		if i%2 == 0 {
			fmt.Fprintf(&b, "Commit %s is here\n", base64.RawURLEncoding.EncodeToString(word[:16]))
		} else {
			fmt.Fprintf(&b, "%s  file.iso\n", hex.EncodeToString(word[:]))
		}
	}
	return b.String()
}
