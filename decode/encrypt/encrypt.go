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

	maxShown = 80 // bytes of a line that is too long, in a message
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
	for {
		b, err := o.read(in)
		o.fromNames(b)
		o.fromIndex(b)
		o.write(out, b)
		if flushErr := out.Flush(); flushErr != nil {
			return flushErr
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// A request is a line of the input. cipher is empty if it is not known.
type request struct {
	line, plain, cipher string
	why                 error
}

var (
	errTooLong = errors.New("line too long")
	errNUL     = errors.New("a path has no NUL")
	errParent  = errors.New("`..` does not stand in a path")
	errEmpty   = errors.New("empty line")
	errOutside = errors.New("not below MOUNT")
	errUnknown = errors.New("neither in an index nor known to gocryptfs")
	errControl = errors.New("its encrypted name has control characters")
)

// read returns the next batch of requests.
func (o *Options) read(in *bufio.Reader) (batch []request, err error) {
	for size := 0; err == nil && len(batch) < maxPaths && size < maxBytes; {
		var text []byte
		text, err = in.ReadSlice('\n')
		size += len(text)
		r := request{line: string(bytes.TrimSuffix(text, []byte("\n")))}
		switch {
		case err == bufio.ErrBufferFull:
			r.line, r.why = r.line[:maxShown], errTooLong
			for err == bufio.ErrBufferFull {
				_, err = in.ReadSlice('\n')
			}
		case len(text) == 0:
			return batch, err
		default:
			r.plain, r.why = o.plainPath(r.line)
		}
		batch = append(batch, r)
	}
	return batch, err
}

// plainPath returns the path that a line stands for.
func (o *Options) plainPath(line string) (path string, err error) {
	path = escape.Undo([]byte(line))
	dir := o.PlainSub
	if below, ok := strings.CutPrefix(squeeze(path)+"/", squeeze(o.Plain)+"/"); ok && o.Plain != "" {
		path, dir = below, ""
	}
	names := strings.Split(dir+"/"+path, "/")
	n := 0
	for _, name := range names {
		switch {
		case name == "..":
			return "", errParent
		case strings.Contains(name, "\x00"):
			return "", errNUL
		case name != "" && name != ".":
			names[n] = name
			n++
		}
	}
	path = strings.Join(names[:n], "/")
	switch {
	case line == "":
		return "", errEmpty
	case o.PlainSub != "" && !strings.HasPrefix(path+"/", o.PlainSub+"/"):
		return "", errOutside
	}
	return path, nil
}

// squeeze returns an absolute path without doubled slashes, `.` and a slash at its end. It keeps
// `..`, and other paths as they are.
func squeeze(path string) string {
	if !strings.HasPrefix(path, "/") {
		return path
	}
	short := ""
	for name := range strings.SplitSeq(path, "/") {
		if name != "" && name != "." {
			short += "/" + name
		}
	}
	return short
}

// fromIndex sets the cipher paths that are not known yet, if the index has them. The newest
// line is the best: in forward mode, a directory that was made anew has another cipher path.
func (o *Options) fromIndex(batch []request) {
	if o.Index == nil {
		return
	}
	found := map[string]string{}
	for _, r := range batch {
		if r.cipher == "" {
			found[r.plain] = ""
		}
	}
	if len(found) == 0 {
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

// fromNames asks for the cipher paths, several at the same time.
func (o *Options) fromNames(batch []request) {
	if o.Names == nil {
		return
	}
	prepared := 0
	for i := range batch {
		for ; prepared < len(batch); prepared++ {
			if r := batch[prepared]; r.isOpen() && !o.Names.PrepareEncrypt(r.plain) {
				break
			}
		}
		if r := &batch[i]; r.isOpen() {
			r.cipher, _ = o.Names.Encrypt(r.plain)
		}
	}
}

// isOpen reports whether gocryptfs is to be asked.
func (r *request) isOpen() bool {
	return r.cipher == "" && r.plain != "" && utf8.ValidString(r.plain)
}

// write writes the answers.
func (o *Options) write(out *bufio.Writer, batch []request) {
	written := map[string]bool{}
	once := func(line string) {
		if !written[line] || o.PathsOnly {
			written[line] = true
			out.WriteString(line)
			out.WriteByte('\n')
		}
	}
	for _, r := range batch {
		if r.why == nil && r.cipher == "" && r.plain != "" {
			r.why = errUnknown
		}
		switch {
		case strings.ContainsFunc(r.cipher, unicode.IsControl):
			r.why = errControl // of -plaintextnames
		case r.cipher != "" && o.Sub != "" && !strings.HasPrefix(r.cipher+"/", o.Sub+"/"):
			r.why = errOutside // a directory that had the same name
		}
		if r.why != nil {
			o.Fail(escape.Undo([]byte(r.line)), r.why)
			continue
		}
		path := strings.TrimPrefix(strings.TrimPrefix(r.cipher, o.Sub), "/")
		if !o.PathsOnly {
			o.above(path, once)
		}
		if path == "" {
			path = "."
		}
		once(path)
	}
}

// above writes what it takes to read the names of path.
func (o *Options) above(path string, write func(line string)) {
	if o.Sub == "" {
		write("gocryptfs.conf")
	}
	for end := 0; end < len(path); end++ {
		if !o.NoIVs {
			write(path[:end] + "gocryptfs.diriv")
		}
		start := end
		if n := strings.IndexByte(path[start:], '/'); n >= 0 {
			end += n
		} else {
			end = len(path)
		}
		if name := path[start:end]; strings.HasPrefix(name, scan.LongPrefix) && scan.IsEncrypted([]byte(name)) {
			write(path[:end] + ".name")
		}
	}
}
