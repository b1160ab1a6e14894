// Package encrypt is the way back: plain paths in, one a line, and cipher paths out.
//
// A plain path is written as decode prints it, as a person types it, or from the root of
// the file system. A path that cannot be encrypted is reported, and the rest goes on.
// Memory is bounded by the paths asked for, however many these are.
package encrypt

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gocryptfs-rsync-pretty/decode/escape"
	"gocryptfs-rsync-pretty/decode/scan"
)

const (
	// maxLine bounds a line of the input, in bytes: a path of PATH_MAX, escaped, and more.
	maxLine = 32 << 10

	// maxPaths and maxBytes bound a batch of paths, for which the index is read once, and in
	// which no line is written twice. It takes some 100 MB, or as little as it has paths.
	maxPaths = 1 << 18
	maxBytes = 32 << 20
)

// Names encrypts plain paths. See ctlsock.Client.
type Names interface {
	PrepareEncrypt(plain string) bool
	Encrypt(plain string) (cipher string, ok bool)
}

// Options configures Copy. All paths are from the root of the view.
type Options struct {
	Names Names // asked first; may be nil

	// Index calls visit with the paths of each line, the newest last. It has names that
	// are gone, or are not UTF-8. It may be nil.
	Index func(visit func(cipher, plain []byte))

	Plain         string // the plain directory; absolute paths may lie below it
	Sub, PlainSub string // paths of MOUNT, which other paths are relative to
	PathsOnly     bool   // write the paths alone, one for each line
	NoIVs         bool   // directories have no gocryptfs.diriv

	// Fail is called with each path that cannot be encrypted, and the reason.
	Fail func(path string, why error)
}

// Copy reads plain paths from src until it ends, and writes to dst what it takes to read
// them elsewhere, for rsync --files-from: the configuration, the IV of each directory
// above, the file of a long name, and the path. It returns the first error of reading or
// writing.
func Copy(dst io.Writer, src io.Reader, o Options) error {
	in, out := bufio.NewReaderSize(src, maxLine), bufio.NewWriter(dst)
	var err error
	for err == nil {
		var batch []request
		batch, err = o.read(in)
		o.fromNames(batch)
		o.fromIndex(batch)
		o.write(out, batch)
		err = cmp.Or(out.Flush(), err)
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// A request is a line of the input. cipher is empty if it is not known.
type request struct {
	line, plain, cipher string
	why                 error
}

var errOutside = errors.New("not below MOUNT")

// read returns the next batch of requests.
func (o *Options) read(in *bufio.Reader) (batch []request, err error) {
	for size := 0; err == nil && len(batch) < maxPaths && size < maxBytes; {
		var text []byte
		if text, err = in.ReadSlice('\n'); len(text) == 0 {
			break
		}
		size += len(text)
		r := request{line: string(bytes.TrimSuffix(text, []byte("\n")))}
		if err == bufio.ErrBufferFull {
			r.line, r.why = r.line[:80], errors.New("line too long")
			for err == bufio.ErrBufferFull {
				_, err = in.ReadSlice('\n')
			}
		} else {
			r.plain, r.why = o.plainPath(r.line)
		}
		batch = append(batch, r)
	}
	return batch, err
}

// plainPath returns the path that a line stands for.
func (o *Options) plainPath(line string) (plain string, err error) {
	typed := escape.Undo([]byte(line))
	switch {
	case typed == "":
		return "", errors.New("empty line")
	case strings.Contains(typed, "\x00"):
		return "", errors.New("a path has no NUL")
	case slices.Contains(strings.Split(typed, "/"), ".."):
		return "", errors.New("`..` does not stand in a path")
	}
	clean := path.Clean("/" + typed)[1:]
	plain, ok := below(clean, strings.Trim(o.Plain, "/"))
	if !ok || o.Plain == "" || typed[0] != '/' {
		plain = path.Join(o.PlainSub, clean)
	}
	if _, ok := below(plain, o.PlainSub); !ok {
		return "", errOutside
	}
	return plain, nil
}

// below returns what a path has below the directory dir. The root is "".
func below(path, dir string) (rest string, ok bool) {
	if dir == "" {
		return path, true
	}
	rest, ok = strings.CutPrefix(path+"/", dir+"/")
	return strings.TrimSuffix(rest, "/"), ok
}

// fromNames asks for the cipher paths, several at the same time.
func (o *Options) fromNames(batch []request) {
	if o.Names == nil {
		return
	}
	var asked []*request
	for i, r := range batch {
		if r.plain != "" && utf8.ValidString(r.plain) {
			asked = append(asked, &batch[i])
		}
	}
	prepared := 0
	for _, r := range asked {
		for prepared < len(asked) && o.Names.PrepareEncrypt(asked[prepared].plain) {
			prepared++
		}
		r.cipher, _ = o.Names.Encrypt(r.plain)
	}
}

// fromIndex sets the cipher paths that are not known yet, if the index has them. The newest
// line is the best: in forward mode, a directory that was made anew has another cipher path.
func (o *Options) fromIndex(batch []request) {
	found := map[string]string{}
	for _, r := range batch {
		if r.cipher == "" && r.plain != "" {
			found[r.plain] = ""
		}
	}
	if o.Index == nil || len(found) == 0 {
		return
	}
	o.Index(func(cipher, plain []byte) {
		if bytes.Contains(plain, []byte(`\#`)) {
			plain = []byte(escape.Undo(plain))
		}
		for len(cipher) > 0 {
			if c, asked := found[string(plain)]; asked && c != string(cipher) {
				found[string(plain)] = string(cipher)
			}
			cipher = cipher[:max(0, bytes.LastIndexByte(cipher, '/'))]
			plain = plain[:max(0, bytes.LastIndexByte(plain, '/'))]
		}
	})
	for i, r := range batch {
		batch[i].cipher = cmp.Or(r.cipher, found[r.plain])
	}
}

// write writes the answers.
func (o *Options) write(out *bufio.Writer, batch []request) {
	written := map[string]bool{}
	for _, r := range batch {
		path, ok := below(r.cipher, o.Sub)
		switch {
		case r.why != nil:
		case r.cipher == "" && r.plain != "":
			r.why = errors.New("neither in an index nor known to gocryptfs")
		case strings.ContainsFunc(path, unicode.IsControl):
			r.why = errors.New("its encrypted name has control characters") // of -plaintextnames
		case !ok:
			r.why = errOutside // a directory that had the same name
		}
		if r.why != nil {
			o.Fail(escape.Undo([]byte(r.line)), r.why)
			continue
		}
		for _, line := range o.lines(path) {
			if !written[line] || o.PathsOnly {
				written[line] = true
				out.WriteString(line + "\n")
			}
		}
	}
}

// lines returns what it takes to read the names of path, and path.
func (o *Options) lines(path string) (lines []string) {
	if o.PathsOnly {
		return []string{cmp.Or(path, ".")}
	}
	if o.Sub == "" {
		lines = append(lines, "gocryptfs.conf")
	}
	dir := ""
	for name := range strings.SplitSeq(path, "/") {
		if !o.NoIVs && path != "" {
			lines = append(lines, dir+"gocryptfs.diriv")
		}
		if strings.HasPrefix(name, scan.LongPrefix) && scan.IsEncrypted([]byte(name)) {
			lines = append(lines, dir+name+".name")
		}
		dir += name + "/"
	}
	return append(lines, cmp.Or(path, "."))
}
