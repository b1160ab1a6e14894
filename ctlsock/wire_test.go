package ctlsock

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"

	wire "github.com/rfjakob/gocryptfs/v2/ctlsock"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
)

// oddNames is names that JSON cannot hold as they are, or that could mislead a short cut.
var oddNames = []string{
	"", "a/b", `"`, `\`, `\n`, `a"b\c`, "new\nline", "\x1b[2J", "\x00", "\x1f", "\x7f", "&<>", "ä€😀", "\ufffd", "\u2028\u2029",
	"\xff", "a\xc3", "\xed\xa0\x80", `","ErrNo":0,"ErrText":"","WarnText":""}`, `{"Result":"`, "/a", "a/../b", strings.Repeat("\x01", 832),
}

// FuzzUnmarshal compares unmarshal, which takes a short cut, with the JSON decoder.
func FuzzUnmarshal(f *testing.F) {
	for _, name := range oddNames {
		f.Add([]byte(strings.TrimSuffix(ctlsocktest.Name(name), "\n")))
		f.Add([]byte(`{"Result":"` + name + `","ErrNo":0,"ErrText":"","WarnText":""}`))
	}
	for _, reply := range []string{
		`{"Result":"a\u0062","ErrNo":0,"ErrText":"","WarnText":""}`, `{"Result":"a","ErrNo":1,"ErrNo":0,"ErrText":"","WarnText":""}`,
		"", "{", "null", "[]", "{}", `{"Result":"a`, `a","ErrNo":0,"ErrText":"","WarnText":""}`,
	} {
		f.Add([]byte(reply))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var want wire.ResponseStruct
		wantErr := json.Unmarshal(line, &want)
		got, err := unmarshal(line)
		if (err == nil) != (wantErr == nil) || err == nil && got != want {
			t.Errorf("unmarshal(%q) = %+v, %v, want %+v, %v", line, got, err, want, wantErr)
		}
	})
}

// The JSON decoder would make garbage of every reply.
func TestShortCut(t *testing.T) {
	line := []byte(strings.TrimSuffix(ctlsocktest.Name("Photos/IMG_0001 at the sea.jpg"), "\n"))
	if n := testing.AllocsPerRun(100, func() { unmarshal(line) }); n > 1 {
		t.Errorf("%v allocations for a usual name, want its own alone", n)
	}
}

// FuzzQuestion checks that gocryptfs decodes a request to the path asked for.
func FuzzQuestion(f *testing.F) {
	for _, path := range oddNames {
		f.Add(path, true)
		f.Add(path, false)
	}
	f.Fuzz(func(t *testing.T, path string, encrypt bool) {
		q := question{path, encrypt}
		var got wire.RequestStruct
		if err := json.Unmarshal(q.appendRequest(nil), &got); err != nil {
			t.Fatalf("the request %q: %v", q.appendRequest(nil), err)
		}
		right := wire.RequestStruct{DecryptPath: string([]rune(path))}
		if encrypt {
			right = wire.RequestStruct{EncryptPath: right.DecryptPath}
		}
		if got != right {
			t.Errorf("the request for %+v says %+v", q, got)
		}
		if want := len(q.appendRequest(nil)) <= maxRequest && (!encrypt || fs.ValidPath(path)); q.isAskable() != want {
			t.Errorf("%+v, %d bytes: askable is %v", q, len(q.appendRequest(nil)), !want)
		}
	})
}

// BenchmarkUnmarshal decodes a usual reply, and one with an escape of JSON.
func BenchmarkUnmarshal(b *testing.B) {
	for _, name := range []string{"IMG_0001 at the sea.jpg", "Tom & Jerry.jpg"} {
		b.Run(name[:3], func(b *testing.B) {
			line := []byte(strings.TrimSuffix(ctlsocktest.Name("Projects/Photos of the summer/"+name), "\n"))
			for b.Loop() {
				unmarshal(line)
			}
		})
	}
}
