package index

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"syscall"
)

const (
	// maxLine bounds a line, in bytes. A path that can be opened has less than 4 KiB
	// (PATH_MAX), as a cipher path about twice that, escaped four times that.
	maxLine = 32 << 10

	// blockSize is the number of bytes read for a line: the next lines may be asked for,
	// too.
	blockSize = 4 << 10

	// maxOther bounds what may stand between two lines of an index, in bytes. With more,
	// the file is something else: a sparse one of 2 GiB would take seconds to read.
	maxOther = 32 << 20
)

// A file holds lines. Trouble with it is reported once; then it does what it still can.
type file struct {
	path     string
	writable bool
	warn     func(what, hint string)
	failed   bool

	data *os.File // for reading, and for writing in place; nil if it cannot be used
	tail *os.File // the same, for appending

	reader *bufio.Reader
	end    int64 // all lines up to this offset have been read
	other  int64 // bytes after the last line of an index

	isIndex bool // it has at least the beginning of a line
	foreign bool // it has something else
}

// open opens the file, unless it cannot be used.
func (f *file) open() (ok bool) {
	const nonblock = syscall.O_NONBLOCK // it may be a FIFO by now
	if fi, err := os.Stat(f.path); err == nil && !f.isMine(fi) {
		return false
	}
	var err error
	if f.writable {
		f.tail, err = os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|nonblock, 0o600)
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
			f.writable = false
			f.trouble(err.Error(), "names are looked up there, but new ones are not added")
		}
	}
	switch {
	case !f.writable:
		f.data, err = os.OpenFile(f.path, os.O_RDONLY|nonblock, 0)
	case err == nil:
		f.data, err = os.OpenFile(f.path, os.O_RDWR|nonblock, 0)
	}
	var fi fs.FileInfo
	if err == nil {
		fi, err = f.data.Stat()
	}
	if err != nil {
		f.trouble(err.Error(), "give a file that can be read and written; names are shown without it")
	}
	if err != nil || !f.isMine(fi) {
		f.drop()
		return false
	}
	f.reader = bufio.NewReaderSize(nil, maxLine)
	return true
}

// isMine reports whether a file is a regular one that no other user, except root, can
// have written. It warns if not.
func (f *file) isMine(fi fs.FileInfo) bool {
	const hint = "it is not used; give a file of your own that only you can write"
	if !fi.Mode().IsRegular() {
		f.trouble(f.path+" is not a regular file", hint)
		return false
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if fi.Mode()&0o022 != 0 || !ok || st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		f.trouble("another user may have written "+f.path, hint+" (chmod go-w)")
		return false
	}
	return true
}

// trouble warns of the first problem. Later ones are not reported.
func (f *file) trouble(what, hint string) {
	if !f.failed {
		f.failed = true
		f.warn("-map: "+what, hint)
	}
}

// drop closes the file, which is not used any more.
func (f *file) drop() {
	f.data.Close() // an error would come too late: all data has been written
	f.tail.Close()
	f.data, f.tail = nil, nil
}

// check drops a file that is something else, and ends a line that is torn.
func (f *file) check() {
	fi, err := f.data.Stat()
	switch {
	case err != nil || fi.Size() == 0:
	case !f.isIndex && f.foreign || f.other > maxOther:
		f.trouble(f.path+" is not an index: it has other lines than CIPHERPATH<tab>PLAINPATH",
			"it is not used and not changed; give another file")
		f.drop()
	case f.writable && fi.Size() > f.end:
		f.tail.Write([]byte("\t\n"))
	}
}

// close closes the file. ok is false if there has been trouble.
func (f *file) close() (ok bool) {
	if f.data != nil && f.writable {
		opened, err := f.data.Stat()
		named, nameErr := os.Stat(f.path)
		if err != nil || nameErr != nil || !os.SameFile(opened, named) {
			f.trouble(f.path+" was deleted or replaced meanwhile", "names of this run are not in it")
		}
	}
	f.drop()
	return !f.failed
}

// becameShorter reports whether lines that have been read are gone. Then the file is
// read from the beginning.
func (f *file) becameShorter() bool {
	if fi, err := f.data.Stat(); err == nil && fi.Size() >= f.end {
		return false
	}
	f.trouble(f.path+" was truncated while in use", "names of this run may be missing in it")
	f.end, f.other = 0, 0
	return true
}

// append appends lines. Where they will stand, it first writes tabs and a newline: so
// whatever cuts the writing of a line short, what is there of it is no line, whoever
// appends more. Processes that append at the same time do not mix.
func (f *file) append(lines []byte) {
	space := append(bytes.Repeat([]byte("\t"), len(lines)-1), '\n')
	n, err := f.tail.Write(space)
	end, seekErr := f.tail.Seek(0, io.SeekCurrent)
	start := end - int64(n)
	if err == nil && seekErr == nil {
		_, err = f.data.WriteAt(lines, start)
	}
	if err == nil {
		return
	}
	f.trouble(err.Error(), "no more names are added")
	f.writable = false
	if fi, err := f.data.Stat(); err == nil && seekErr == nil && fi.Size() == end {
		f.data.Truncate(start)
	}
}

// each calls visit with each line that has been appended since the last call, and with its
// offset.
func (f *file) each(visit func(l line, at int64)) {
	f.reader.Reset(io.NewSectionReader(f.data, f.end, math.MaxInt64))
	long := 0 // bytes that have been read of a line that is too long
	for f.other <= maxOther {
		text, err := f.reader.ReadSlice('\n')
		f.other += int64(len(text))
		if err == bufio.ErrBufferFull {
			long += len(text)
			continue
		}
		text = bytes.TrimSuffix(text, []byte("\n"))
		f.isIndex = f.isIndex || isTorn(text)
		f.foreign = f.foreign || err == nil && !isSpace(text) || len(bytes.Trim(text, "\t")) > 0
		if err != nil {
			if err != io.EOF {
				f.trouble(err.Error(), "names that could not be read are looked up elsewhere")
			}
			return
		}
		if l, ok := parse(text); ok && long == 0 {
			visit(l, f.end)
			f.other = 0
		}
		f.end += int64(long + len(text) + 1)
		long = 0
	}
}
