package decode

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"gocryptfs-rsync-pretty/decode/scan"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A namesFunc is a server that answers as the function does.
type namesFunc func(cipher string) (plain string, ok bool)

func (namesFunc) Prepare(string) bool { return true }

func (f namesFunc) Decrypt(cipher string) (string, bool) { return f(cipher) }

// paths is a server that knows these plain paths by cipher path.
type paths map[string]string

func (paths) Prepare(string) bool { return true }

func (p paths) Decrypt(cipher string) (string, bool) {
	plain, ok := p[cipher]
	return plain, ok
}

const (
	encA = "ikFrxDZ5DfCpwm4Myx-3TA"
	encB = "imzeAOOgEnocI27OWHX1BQ"
	encC = "m91YAV0v95v-ak-wALAQAg"
)

func encryptedName(i int) string { return fmt.Sprintf("%021dA", i) }

// nobody is a server that knows no name.
var nobody = paths{}

// anybody is a server that decrypts most paths to a name that identifies the question.
var anybody = namesFunc(func(cipher string) (string, bool) {
	names := strings.Split(cipher, "/")
	var sum [sha256.Size]byte
	for i, s := range names {
		sum = sha256.Sum256(append(sum[:], s...))
		if sum[0]&7 == 0 || strings.HasSuffix(s, "=") && sum[0]&1 == 0 {
			return "", false
		}
		names[i] = "<" + string('α'+rune(sum[1]%24)) + s[len(s)-2:] + ">"
		if sum[2]&15 == 0 {
			names[i] += "\n\ufffd"
		}
	}
	return strings.Join(names, "/"), true
})

// pieces are what bytes below 32 stand for in the input of a fuzz target, so that
// tokens and their neighbors are one mutation away.
var pieces = []string{
	"\n", "/", ".", "~", "=", " -> ", "\"", " => ",
	"ikFrxDZ5DfCpwm4Myx-3TA", "imzeAOOgEnocI27OWHX1BQ", "m91YAV0v95v-ak-wALAQAg",
	"7Bpjnp1viZys3tc_huw953ZVVLqXr86N33m00i2o2lI", "gocryptfs.longname.",
	"gocryptfs.longname.7Bpjnp1viZys3tc_huw953ZVVLqXr86N33m00i2o2lI", ".name", "gocryptfs.",
	"BpjnpSviZys3tc_huw953ZVVLqXr86N33m00i2o2lJHhM3nm", "==", ".~tmp~/", "/../",
	"gocryptfs.diriv", "a", "\r", " ", "//", "/rsyncd-munged/", "-", "x.y",
	strings.Repeat("ikFrxDZ5DfCpwm4Myx-3TA/", 50), strings.Repeat("abcdefgh", 40),
	strings.Repeat(".x/", 1000), strings.Repeat("Q", 8<<10),
}

// more is what the letters from A on stand for after a backslash.
var more = []string{
	"-2026-11-23", "_bak", "\x1b[01;34m", "\x1b[K", "\x1b(B", "\x9b1G", "\x1bM", ":\n", "'", ": ", "Only in ",
	"gocryptfs.longname.gocryptfs5DfCpwm4Myx-3TAimzeAOOgEnocI27OWHXA", "go", "gocryptfs.longname.g",
	"ikFrxDZ5DfCpwm4Myx-3TA-2026", "\",\"name\":\"", "\x9b-", "\x1b-", "\x1b7", "\x1b(0",
	"\r          4 100%    0.36kB/s    0:00:00 (xfr#1, to-chk=7/9)",
}

// expand returns the text for the input of a fuzz target, up to 64 KiB.
func expand(data []byte) []byte {
	var b []byte
	escaped := false
	for _, c := range data {
		if len(b) > 56<<10 {
			break
		}
		letter := int(c) - 'A'
		switch {
		case escaped && letter >= 0 && letter < len(more):
			b = append(b, more[letter]...)
		case int(c) < len(pieces):
			b = append(b, pieces[c]...)
		default:
			b = append(b, c)
		}
		escaped = c == '\\'
	}
	return b
}

// cutReader returns its data in pieces of the lengths in cuts, which repeat.
type cutReader struct {
	data, cuts []byte
	n          int
}

func (r *cutReader) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	want := len(r.data)
	if len(r.cuts) > 0 {
		want = int(r.cuts[r.n%len(r.cuts)])
		r.n++
	}
	n := copy(p[:min(len(p), max(want, 1))], r.data)
	r.data = r.data[n:]
	return n, nil
}

// inPieces returns a reader that gives each piece in a read of its own.
func inPieces(pieces ...string) io.Reader {
	var all []io.Reader
	for _, p := range pieces {
		all = append(all, strings.NewReader(p))
	}
	return io.MultiReader(all...)
}

func copyAll(t testing.TB, src io.Reader, o Options) string {
	t.Helper()
	var out bytes.Buffer
	if _, err := Copy(&out, src, o); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// sparse returns the cuts for a text: a long one is not read byte by byte, because that
// would take seconds.
func sparse(text, cuts []byte) []byte {
	if len(text) <= 4<<10 {
		return cuts
	}
	return bytes.Map(func(r rune) rune { return r&0x7f | 16 }, append(cuts, 0))
}

// addSeeds adds inputs with every piece next to others.
func addSeeds(f *testing.F) {
	f.Add([]byte("plain text, \x00\xff no names\r\n"), []byte{3})
	f.Add([]byte("\x08\x01\x09\x00mount\x01\x08\x01\x12\x09 (1)\x00"), []byte{1})
	f.Add([]byte("\x08\x05\x10\x00\"\x08\x02123456\" -> \"\x08\"\x00"), []byte{7, 1})
	f.Add([]byte("\x08\x11\x01\x0a\x04\x04\x01\x0b\x04\x00\x08\x04\x04\x04"), []byte{2})
	f.Add([]byte("\x0d\x0e\x00\x0f\x14\x0c\x0c\x0b\x01\x14\x00\x02\x0d\x02ab\x01\x08"), []byte{1, 9})
	f.Add([]byte("\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x1c\x08\x1d\x08\x1d\x01\x08\x00"), []byte{200, 1})
	f.Add([]byte("\x08\x01\x1e\x1e\x1e\x08\x05\x1f\x08\x05\x1fQ\x01"), []byte{255, 3})
	f.Add([]byte("\\L\x0b\\M\x09\\N\x00\x08\\A\x01\x09\\B\x00\\O\x00"), []byte{1})
	f.Add([]byte("\\C\x08\\D\x01\\E\x09\\F\x0a\\G\x00\x08\x01\x09\\H\x0a\x00\\K\x08\\J\x09\x08\\P\x09"), []byte{1, 30})
	f.Add([]byte("]\\Q\x08 \\R\x09\x00\\S\x08\\T\x09\\S7\x0a\x00"), []byte{1})
	f.Add([]byte("\x08\x02\x09\x15\x01\x0a\x08\x13\x09\x18\x0a\x02\x09"), []byte{22, 1})
	f.Add([]byte(">f+++++++++ \x14\x00\\U\x16\\U\x00*deleting   \x08\x01\x14\x00\x08\x00"), []byte{1})
	f.Add([]byte("\x14\\U\x16\x00\x14\x00\x16\x00\x14\x00\x16"), []byte{1})
	f.Add([]byte(">f+++++++++ \x1d\x1f\x1f\x14\x00\\U\x00\x08 \x14\x1f\x1f\x1f\x00\x0d\x0e\x00"), []byte{200, 17})
	for i := range scan.LongPrefix {
		// A hash that begins as a long name does, after one and first in a chain.
		hash := scan.LongPrefix[:i] + encA + encB + encC
		hash = "gocryptfs.longname." + strings.NewReplacer(".", "-").Replace(hash)[:42] + "A"
		f.Add([]byte("x "+hash+"\x01"+hash+"\x0e\x00"+hash[:len(scan.LongPrefix)+i]), []byte{byte(len(scan.LongPrefix) + 2 + i), 1})
	}
}

// FuzzPassThrough checks that nothing changes when nobody knows a name.
func FuzzPassThrough(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		text := expand(data)
		got := copyAll(t, &cutReader{data: text, cuts: sparse(text, cuts)}, Options{Names: nobody})
		if diff := cmp.Diff(string(text), got); diff != "" {
			t.Errorf("output is not the input (-want +got):\n%s", diff)
		}
	})
}

// FuzzCut checks that the output does not depend on where the input is cut, also with
// housekeeping files left out, and that color adds only sequences.
func FuzzCut(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		text := expand(data)
		checkAnywhere(t, text, sparse(text, cuts))
	})
}

// TestCut checks the same for texts that have found a defect.
func TestCut(t *testing.T) {
	same := strings.Repeat("C", 64)
	for name, text := range map[string]string{
		"a name in figures":       "          4 100%    0.36kB/s    0:00:7" + strings.Repeat("B", 20) + "A/" + encA + "\n",
		"a name at their end":     "1 1% 0:00:" + strings.Repeat("1", 42) + "0/" + encA + "\n",
		"figures that do not end": "1 1% 0:0:" + strings.Repeat("1", 300) + "x gocryptfs.conf\n",
		"a path after an arrow":   "rename \"" + same + "\" -> \"" + same + ".bak/" + encA + "/" + encB + "\"\n",
	} {
		t.Run(name, func(t *testing.T) { checkAnywhere(t, []byte(text), []byte{200, 17}) })
	}
}

func checkAnywhere(t *testing.T, text, cuts []byte) {
	all := [][]byte{cuts}
	if len(text) < 1<<10 {
		all = append(all, []byte{1}, []byte{2})
	}
	for _, hideMeta := range []bool{false, true} {
		o := Options{Names: anybody, HideMeta: hideMeta}
		want := copyAll(t, bytes.NewReader(text), o)
		for _, cuts := range all {
			got := copyAll(t, &cutReader{data: text, cuts: cuts}, o)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("cut into %v, -hide-meta %v (-whole +cut):\n%s", cuts, hideMeta, diff)
			}
		}
		o.Color = true
		got := copyAll(t, &cutReader{data: text, cuts: cuts}, o)
		if diff := cmp.Diff(sequences.Replace(want), sequences.Replace(got)); diff != "" {
			t.Errorf("cut into %v, -hide-meta %v, in color without sequences (-plain +color):\n%s", cuts, hideMeta, diff)
		}
	}
}
