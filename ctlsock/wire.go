package ctlsock

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"unicode/utf8"

	wire "github.com/rfjakob/gocryptfs/v2/ctlsock"
)

const (
	// maxRequest is the length in bytes of the longest request that the server accepts: a
	// path of 4981. At 5000 bytes it hangs up (gocryptfs internal/ctlsocksrv, ReadBufSize).
	maxRequest = 4999

	// maxReply bounds a reply, in bytes. The longest honest reply answers a request
	// of maxRequest bytes with as many `&`, which Go's JSON writes in six bytes each,
	// and may repeat them in WarnText.
	maxReply = 64 << 10

	// maxName bounds a component of an answer, in bytes (NAME_MAX).
	maxName = 255

	// badName ends the answer for a name that a file system with `-badname` could
	// not decrypt (gocryptfs internal/nametransform, BadnameSuffix).
	badName = " GOCRYPTFS_BAD_NAME"
)

// A question asks for the plain path of a cipher path, or the other way round.
type question struct {
	path    string
	encrypt bool // path is plain
}

// isAskable reports whether the server can be asked. It refuses a path that is too long,
// JSON cannot hold a plain path that is not UTF-8, and the server would answer for
// another one if it is not canonical. JSON takes at most six bytes for one.
func (q question) isAskable() bool {
	if q.encrypt && !fs.ValidPath(q.path) {
		return false
	}
	return len(q.path) < maxRequest/8 || len(q.appendRequest(nil)) <= maxRequest
}

// weight is the share that a question has in a window. In reverse mode, gocryptfs looks for
// a long name in the whole directory: a deleted one takes 0.67 s of CPU with 100,000 files.
// Eight at once are answered within a few seconds on two cores, but 64 not within the timeout.
func (q question) weight() int {
	if strings.Contains(q.path, "gocryptfs.longname.") {
		return 8
	}
	return 1
}

// appendRequest appends the request to dst.
func (q question) appendRequest(dst []byte) []byte {
	verb := `{"DecryptPath":`
	if q.encrypt {
		verb = `{"EncryptPath":`
	}
	dst = append(dst, verb...)
	if isVerbatim(q.path) {
		return append(append(append(dst, '"'), q.path...), `"}`...)
	}
	path, _ := json.Marshal(q.path) // a string can always be encoded
	return append(append(dst, path...), '}')
}

// An answer is what the server returned for a path, or what follows from that.
type answer struct {
	path string
	ok   bool // false: there is no such name
}

// parse returns the answer in the reply to q, given without its newline.
func (q question) parse(reply []byte) (answer, error) {
	r, err := unmarshal(reply)
	if err != nil {
		return answer{}, fmt.Errorf("%w: %v", ErrBadReply, err)
	}
	isBad := !q.encrypt && (strings.HasSuffix(r.Result, badName) || strings.Contains(r.Result, badName+"/"))
	if r.ErrNo != 0 || isBad {
		return answer{}, nil
	}
	return answer{r.Result, true}, checkPath(q.path, r.Result)
}

// unmarshal decodes a reply. It skips the JSON decoder if the name is the same in
// JSON, as nearly all names are. The decoder takes 1.2 µs instead of 0.1
// (BenchmarkUnmarshal), of the 13 that the whole filter takes for a name (make bench).
func unmarshal(reply []byte) (wire.ResponseStruct, error) {
	const start, end = `{"Result":"`, `","ErrNo":0,"ErrText":"","WarnText":""}`
	name, begins := bytes.CutPrefix(reply, []byte(start))
	name, ends := bytes.CutSuffix(name, []byte(end))
	if s := string(name); begins && ends && isVerbatim(s) {
		return wire.ResponseStruct{Result: s}, nil
	}
	var r wire.ResponseStruct // on the heap
	err := json.Unmarshal(reply, &r)
	return r, err
}

// isVerbatim reports whether s is the same in a JSON string.
func isVerbatim(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' {
			return false
		}
	}
	return utf8.ValidString(s)
}

// checkPath returns an error unless got can be the translation of asked. It must have
// as many components, none of them empty, `.`, `..` or longer than maxName.
func checkPath(asked, got string) error {
	if strings.Count(asked, "/") != strings.Count(got, "/") {
		return fmt.Errorf("%w: another number of path components", ErrBadReply)
	}
	for name := range strings.SplitSeq(got, "/") {
		if name == "" || name == "." || name == ".." {
			return fmt.Errorf("%w: %q is not a name", ErrBadReply, name)
		}
		// JSON replaces each byte that is not UTF-8 by the three bytes of U+FFFD.
		if n := len(name) - 2*strings.Count(name, "\ufffd"); n > maxName {
			return fmt.Errorf("%w: a name of %d bytes", ErrBadReply, n)
		}
	}
	return nil
}
