package ctlsock

import (
	"encoding/json"
	"io/fs"
	"strings"
	"testing"
	"unicode/utf8"

	wire "github.com/rfjakob/gocryptfs/v2/ctlsock"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
)

// A name of any bytes goes to the server and comes back as JSON represents it.
func TestNamesInJSON(t *testing.T) {
	s := ctlsocktest.Start(t, ctlsocktest.Path(t), ctlsocktest.Answer(func(path string) string { return path }))
	c, p := newClient(t, s.Path, limit)
	for _, name := range []string{
		"plain", `"`, `\`, `\n`, `a"b\"c`, "new\nline", "\x1b[2J", "\x00", "\x1f", "\x7f", "&<>", "ä€😀", "\ufffd", "\u2028\u2029",
		"\xff", "a\xc3", "\xed\xa0\x80", `","ErrNo":0,"ErrText":"","WarnText":""}`, `{"Result":"`,
	} {
		for _, path := range []string{name, "dir/" + name + "/x"} {
			if got, ok := c.Decrypt(path); got != string([]rune(path)) || !ok {
				t.Errorf("Decrypt(%q) = %q, %v", path, got, ok)
			}
			if got, ok := c.Encrypt(path); ok != utf8.ValidString(path) || ok && got != path {
				t.Errorf("Encrypt(%q) = %q, %v", path, got, ok)
			}
		}
	}
	wantProblems(t, p)
}

// FuzzUnmarshal compares unmarshal, which takes a short cut, with the JSON decoder.
func FuzzUnmarshal(f *testing.F) {
	for _, seed := range []string{
		ctlsocktest.Name("a/b c"), ctlsocktest.Name("a\"\\\n\x00&ä\u2028"), ctlsocktest.NoName(),
		`{"Result":"a\u0062","ErrNo":0,"ErrText":"","WarnText":""}`,
		`{"Result":"a","ErrNo":1,"ErrNo":0,"ErrText":"","WarnText":""}`,
		`{"Result":"a"","ErrNo":0,"ErrText":"","WarnText":""}`,
		"{\"Result\":\"a\nb\",\"ErrNo\":0,\"ErrText\":\"\",\"WarnText\":\"\"}",
		"{\"Result\":\"\xff\",\"ErrNo\":0,\"ErrText\":\"\",\"WarnText\":\"\"}",
		`{"Result":"\","ErrNo":0,"ErrText":"","WarnText":""}`,
		`{"Result":"","ErrNo":0,"ErrText":"","WarnText":""}`,
		"", "{", "null", "[]", "{}",
	} {
		f.Add([]byte(strings.TrimSuffix(seed, "\n")))
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

// FuzzQuestion checks that gocryptfs decodes a request to the path asked for.
func FuzzQuestion(f *testing.F) {
	f.Add("a/b", true)
	f.Add("\"\\\n\x00&ä\u2028\xff", false)
	f.Add("\ufffd\\", true)
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
