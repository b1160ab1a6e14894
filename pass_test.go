package main

import (
	"bytes"
	"encoding/base64"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
)

// What is no name passes unchanged, whoever answers and whoever does not.

// strangers are texts without a single name.
func strangers(t *testing.T) map[string][]byte {
	t.Helper()
	return map[string][]byte{
		"random bytes":       randomBytes(8_000_000),
		"random words":       randomWords(5_000),
		"one word":           bytes.Repeat([]byte("A"), 1_000_000),
		"one slash":          bytes.Repeat([]byte("/"), 1_000_000),
		"CR":                 []byte("one\rtwo\r\rthree\r"),
		"CRLF":               []byte("one\r\ntwo\r\n\r\nthree\r\n"),
		"NUL":                []byte("one\x00two\x00\x00\nthree\x00"),
		"blank lines":        []byte("\n\n\none\n\n\ntwo\n\n"),
		"blanks":             []byte(" one \t two\t\n \n\t\n"),
		"no newline":         []byte("one\ntwo"),
		"no newline, a word": []byte("one AbcdefghijklmnopqrstuQ"),
		"no newline, a part": []byte("one AbcdefghijklmnopqQ"),
		"a prompt":           []byte("password: "),
		"one byte":           []byte("\n"),
		"nothing":            nil,
		"bad UTF-8":          []byte("\xff\xfe\xc3\n\xc3\x28\xa0\xe2\x82\n\xed\xa0\x80"),
		"terminal escapes":   []byte("\x1b[31mred\x1b[m \x9b0m \x07\x08\x7f\n"),
		"rsync's escapes":    []byte(`\#012 \#134#123 \\#` + "\n"),
	}
}

func randomBytes(n int) []byte {
	var seed [32]byte
	b := make([]byte, n)
	rand.NewChaCha8(seed).Read(b) // never fails
	return b
}

// randomWords returns n random words that gocryptfs could have made, in lines and
// paths.
func randomWords(n int) []byte {
	var seed [32]byte
	random := rand.NewChaCha8(seed)
	var text []byte
	name := make([]byte, 11*16)
	for i := range n {
		random.Read(name) // never fails
		blocks := 1 + int(name[0]%11)
		text = base64.RawURLEncoding.AppendEncode(text, name[:blocks*16])
		text = append(text, "\n/ .,\r/\n"[i%8])
	}
	return text
}

// TestPass gives texts without names to a server that knows none.
func TestPass(t *testing.T) {
	sock := ctlsocktest.Path(t)
	ctlsocktest.Start(t, sock, ctlsocktest.Answer(func(string) string { return "" }))
	args := []string{sock, t.TempDir()}
	for name, text := range strangers(t) {
		t.Run(name, func(t *testing.T) {
			wantSame(t, text, replay(t, args, bytes.NewReader(text)))
			if len(text) < 1000 {
				wantSame(t, text, replay(t, args, iotest.OneByteReader(bytes.NewReader(text))))
			}
		})
	}
}

// wantSame does not print 8 MB when they differ.
func wantSame(t *testing.T, want []byte, got string) {
	t.Helper()
	if got == string(want) {
		return
	}
	i := 0
	for i < min(len(want), len(got)) && want[i] == got[i] {
		i++
	}
	t.Errorf("%d bytes out of %d; at %d got %.60q, want %.60q", len(got), len(want), i, got[i:], want[i:])
}

// TestPassNoSocket gives texts, with names and without, to a filter without
// control socket.
func TestPassNoSocket(t *testing.T) {
	sock := ctlsocktest.Path(t)
	texts := strangers(t)
	raw := readCaptures(t)[0].raw
	texts["a capture"] = raw
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			in := bytes.NewReader(text)
			if status := run([]string{sock, t.TempDir()}, in, &out, &errs); status != exitOK {
				t.Errorf("status %d, want %d", status, exitOK)
			}
			wantSame(t, text, out.String())
			if in.Len() > 0 {
				t.Errorf("%d bytes were not read", in.Len())
			}
			lines := strings.SplitAfter(errs.String(), "\n")
			if len(lines) != 3 || !strings.HasPrefix(lines[0], program+": warning: no control socket at "+sock) ||
				!strings.HasPrefix(lines[1], program+": hint: ") || lines[2] != "" {
				t.Errorf("stderr: want a warning and a hint, got %q", errs.String())
			}
		})
	}
}

// TestPassBetween puts names between what is passed.
func TestPassBetween(t *testing.T) {
	names := readNames(t)
	sock := ctlsocktest.Path(t)
	ctlsocktest.Start(t, sock, ctlsocktest.Answer(translate(names)))
	args := []string{"-plain", t.TempDir(), sock, t.TempDir()}
	i := slices.IndexFunc(names, func(n encryptedName) bool { return n.plain == "My Documents/Letter to Ann.odt" })
	if i < 0 {
		t.Fatal("names.tsv lacks the name")
	}
	name := names[i]
	for about, text := range strangers(t) {
		if len(text) > 1000 {
			continue
		}
		t.Run(about, func(t *testing.T) {
			// A blank, as the text may end or begin with a letter.
			in := "{} " + string(text) + " {}\n\n{}" + "\r{}\r\n{}\x00{}\n" + string(text) + "\n\n\n{}"
			want := strings.ReplaceAll(in, "{}", name.plain)
			in = strings.ReplaceAll(in, "{}", name.cipher)
			for how, r := range map[string]io.Reader{
				"whole":        strings.NewReader(in),
				"byte by byte": iotest.OneByteReader(strings.NewReader(in)),
			} {
				if diff := cmp.Diff(want, replay(t, args, r)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", how, diff)
				}
			}
		})
	}
}
