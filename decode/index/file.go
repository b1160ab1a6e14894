package index

import (
	"bufio"
	"bytes"
	"io"
	"math"
	"os"
	"slices"
	"syscall"

	"gocryptfs-rsync-pretty/decode/scan"
)

const (
	// maxLine bounds a line, in bytes. A path that can be opened has less than 4 KiB
	// (PATH_MAX), as a cipher path about twice that, escaped five times that.
	maxLine   = 32 << 10
	maxBroken = 32 << 20 // bounds a line that is skipped: a sparse file would take seconds
)

// A file holds lines. Trouble with it is reported once; then it does what it still can.
type file struct {
	path     string
	writable bool
	warn     func(what, hint string)
	failed   bool // there has been trouble
	data     *os.File
	end      int64 // all lines up to this offset have been read
	isIndex  bool  // a line says so
}

// open opens the file, unless it cannot be used: it has to be a regular one that no other user
// can have written.
func (f *file) open() (ok bool) {
	flag := syscall.O_NONBLOCK // for reading; it may be a FIFO
	if f.writable {
		flag |= os.O_RDWR | os.O_CREATE | os.O_APPEND
	}
	var err error
	f.data, err = os.OpenFile(f.path, flag, 0o600)
	if err != nil && f.writable {
		f.data, _ = os.OpenFile(f.path, syscall.O_NONBLOCK, 0)
		f.writable = false
	}
	fi, unknown := f.data.Stat()
	const hint = "it is not used; give a file of your own that only you can write"
	switch {
	case f.data == nil:
		return f.refuse(err.Error(), "it is not used; give a file that can be read and, to add names, written")
	case unknown != nil || !fi.Mode().IsRegular():
		return f.refuse(f.path+" is not a regular file", hint)
	case fi.Mode()&0o022 != 0 || !slices.Contains([]int{0, os.Geteuid()}, int(fi.Sys().(*syscall.Stat_t).Uid)):
		return f.refuse("another user may have written "+f.path, hint+" (chmod go-w)")
	case fi.Mode()&0o044 != 0:
		f.warn("other users can read "+f.path, "it reveals what the encryption hides (chmod go-r)")
	}
	if err != nil {
		f.trouble(err.Error(), "names are looked up there, but new ones are not added")
	}
	return true
}

// trouble warns of the first problem. Later ones are not reported.
func (f *file) trouble(what, hint string) {
	if !f.failed {
		f.failed = true
		f.warn(what, hint)
	}
}

// refuse closes the file, which is not used any more, and says why.
func (f *file) refuse(what, hint string) (ok bool) {
	f.trouble(what, hint)
	f.data.Close()
	f.data, f.writable = nil, false
	return false
}

// finish closes the file. ok is false if there has been trouble.
func (f *file) finish() (ok bool) {
	opened, _ := f.data.Stat()
	if named, _ := os.Stat(f.path); f.writable && !os.SameFile(opened, named) {
		f.trouble(f.path+" was deleted or replaced meanwhile", "names of this run are not in it")
	}
	f.data.Close() // an error would come too late: all data has been written
	return !f.failed
}

// write appends lines at once, so that those of several processes do not mix. What a full disk
// has left of a line is ended with a tab and a newline, so it is no line. ok is false if lines
// that were read are gone; then the file is read from the beginning.
func (f *file) write(lines []byte) (ok bool) {
	size, err := f.data.Seek(0, io.SeekEnd)
	if ok = err != nil || size >= f.end; !ok {
		f.trouble(f.path+" was truncated while in use", "names of this run may be missing in it")
		f.end = 0
	}
	last := []byte("\n")
	if f.data.ReadAt(last, max(0, size-1)); last[0] != '\n' {
		lines = append([]byte("\t\n"), lines...)
	}
	if _, err := f.data.Write(lines); err != nil {
		f.trouble(err.Error(), "no more names are added")
		f.writable = false
	}
	return ok
}

// each calls visit with each line that has been appended since the last call, and with its
// offset. The first line that is not blank has to begin with a cipher path.
func (f *file) each(visit func(l line, at int64)) {
	in := bufio.NewReaderSize(io.NewSectionReader(f.data, f.end, math.MaxInt64), maxLine)
	for long := 0; ; { // bytes that have been read of a line that is too long
		text, err := in.ReadSlice('\n')
		l, ok := parse(bytes.TrimSuffix(text, []byte("\n")))
		f.isIndex = f.isIndex || bytes.Contains(text, []byte("\t")) && scan.IsEncrypted(text[:bytes.IndexAny(text, "/\t")])
		switch {
		case !f.isIndex && len(bytes.TrimSpace(text)) > 0 || long >= maxBroken:
			f.refuse(f.path+" is not an index: it has other lines than CIPHERPATH<tab>PLAINPATH", "it is not used and not changed; give another file")
			return
		case err == bufio.ErrBufferFull:
			long += len(text)
			continue
		case err == io.EOF:
			return
		case err != nil:
			f.trouble(err.Error(), "names that could not be read are looked up elsewhere")
			return
		case ok && long == 0:
			visit(l, f.end)
		}
		f.end += int64(long + len(text))
		long = 0
	}
}
