package decode

import (
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gocryptfs-rsync-pretty/decode/escape"
	"gocryptfs-rsync-pretty/decode/scan"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestReplay decodes what rsync printed about backups of one tree, and what other programs do, as
// testdata/capture.sh and testdata/other/capture.sh captured it: whole and cut. Only words may
// change. Targets of links stay encrypted: there is no plain directory.
func TestReplay(t *testing.T) {
	for dir, least := range map[string]int{"replay": 10, "other": 20} {
		names := readNames(filepath.Join("../testdata", dir, "names.tsv"))
		plain, o := translated(names), Options{Names: names, Files: &stubView{view: View{Reverse: true}, exists: names.has}}
		files, _ := filepath.Glob(filepath.Join("../testdata", dir, "*.txtar"))
		for _, file := range files {
			a, _ := txtar.ParseFile(file)
			least -= len(a.Files)
			for _, capture := range a.Files {
				t.Run(filepath.Base(file)+" "+capture.Name, func(t *testing.T) {
					raw, want := string(capture.Data), plain.Replace(string(capture.Data))
					if want == raw && !strings.HasPrefix(filepath.Base(file), "stats-") {
						t.Error("no name in it")
					}
					checkCuts(t, raw, want, o)
				})
			}
		}
		if least > 0 {
			t.Errorf("%d captures less than there should be in %s", least, dir)
		}
	}
}

// readNames reads lines of a cipher path and a plain one, which may be quoted.
func readNames(file string) paths {
	text, _ := os.ReadFile(file) // without names, nothing is decoded
	names := paths{}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		plain, err := strconv.Unquote(fields[1])
		if err != nil {
			plain = fields[1]
		}
		names[fields[0]] = plain
	}
	return names
}

// translated translates each encrypted name in a text, wherever it stands. That is right
// because in reverse mode no two files have the same name.
func translated(names paths) *strings.Replacer {
	var pairs []string
	for c, p := range names {
		cipher, plain := path.Base(c), escape.String(path.Base(p))
		if strings.HasPrefix(cipher, scan.LongPrefix) {
			pairs = append(pairs, cipher+".name", scan.LongPrefix+plain+".name")
		}
		pairs = append(pairs, cipher, plain)
	}
	return strings.NewReplacer(pairs...)
}
