package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/creack/pty"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
)

// Without a server all text passes unchanged.

// strangers returns texts without any names.
func strangers() map[string][]byte {
	return map[string][]byte{
		"random bytes":       randomBytes(8_000_000),
		"random words":       []byte(wordLines(5_000)),
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

// wordLines returns n words in lines of text: half of them have 22 characters, half 64
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

// wantSame compares texts without printing 8 MB if they differ.
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

// TestPassNoSocket gives texts, with names and without, to a filter without a control
// socket.
func TestPassNoSocket(t *testing.T) {
	sock := ctlsocktest.Path(t)
	texts := strangers()
	texts["names"] = []byte(fakeTranscript(1000).input())
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			in := bytes.NewReader(text)
			status := run([]string{sock, t.TempDir()}, iotest.DataErrReader(in), &out, &errs)
			if status != exitOK {
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

// Color is tested on pseudo-terminals.

// TestColorIsOptional checks that the text has no sequence where none is wanted, and is
// otherwise the same.
func TestColorIsOptional(t *testing.T) {
	s := ctlsocktest.Start(t, ctlsocktest.Path(t), ctlsocktest.Answer(fakePlain))
	dir := t.TempDir()
	operands := []string{"-plain", dir, s.Path, dir}
	for name, tt := range map[string]struct {
		env, flags []string
		want       bool
	}{
		"terminal":             {nil, nil, true},
		"auto":                 {nil, []string{"-color=auto"}, true},
		"NO_COLOR empty":       {[]string{"NO_COLOR="}, nil, true},
		"NO_COLOR":             {[]string{"NO_COLOR=1"}, nil, false},
		"NO_COLOR, auto":       {[]string{"NO_COLOR=1"}, []string{"-color=auto"}, false},
		"dumb":                 {[]string{"TERM=dumb"}, nil, false},
		"no TERM":              {[]string{"TERM="}, nil, true},
		"never":                {nil, []string{"-color=never"}, false},
		"NO_COLOR, but always": {[]string{"NO_COLOR=1", "TERM=dumb"}, []string{"-color=always"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			shown, stderr := onTerminal(t, tt.env, append(tt.flags, operands...), ">f+++++++++ "+fakeName(1)+"\n")
			want := ">f+++++++++ " + fakePlain(fakeName(1))
			if tt.want {
				want = "\x1b[32m" + want + "\x1b[0m"
			}
			if shown != want+"\r\n" || stderr != "" {
				t.Errorf("got %q, want %q; stderr: %s", shown, want, stderr)
			}
		})
	}
}

// onTerminal runs the program with a terminal as standard output. It returns what the
// terminal got, and stderr.
func onTerminal(t *testing.T, env, args []string, stdin string) (shown, stderr string) {
	t.Helper()
	ptmx, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer ptmx.Close()
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), tty, &errs
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "TERM=xterm-256color", "GORACE=atexit_sleep_ms=10"}, env...)
	err = cmd.Start()
	tty.Close()
	if err != nil {
		t.Fatal(err)
	}
	// Linux: the other side is closed (drivers/tty/pty.c).
	if _, err := out.ReadFrom(ptmx); err != nil && !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: %v", cmd, err)
	}
	return out.String(), errs.String()
}
