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

	blockSize = 4 << 10 // read for a line, because the next lines may be asked for, too

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

	data *os.File // for reading, and for writing in place
	tail *os.File // the same, for appending

	reader *bufio.Reader
	end    int64 // all lines up to this offset have been read
	other  int64 // bytes after the last line of an index

	isIndex bool // it has a line, be it without a newline
	isOther bool // it has more than tabs and newlines
}

// open opens the file, unless it cannot be used.
func (f *file) open() (ok bool) {
	const nonblock = syscall.O_NONBLOCK // it may be a FIFO by now
	fi, err := os.Stat(f.path)
	if err == nil && !f.isMine(fi) {
		return false
	}
	flag := os.O_RDONLY
	if f.writable {
		flag = os.O_RDWR | os.O_CREATE
	}
	f.data, err = os.OpenFile(f.path, flag|nonblock, 0o600)
	if reason := err; f.writable && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) {
		f.writable = false
		if f.data, err = os.OpenFile(f.path, os.O_RDONLY|nonblock, 0); err == nil {
			f.trouble(reason.Error(), "names are looked up there, but new ones are not added")
		}
	}
	if err == nil && f.writable {
		f.tail, err = os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND|nonblock, 0)
	}
	if err == nil {
		fi, err = f.data.Stat()
	}
	if err != nil {
		return f.refuse(err.Error(), "give a file that can be read and written; names are shown without it")
	}
	f.reader = bufio.NewReaderSize(nil, maxLine)
	return f.isMine(fi)
}

// isMine refuses a file that is not a regular one or that another user, except root, can
// have written.
func (f *file) isMine(fi fs.FileInfo) (ok bool) {
	const hint = "it is not used; give a file of your own that only you can write"
	owner := int(fi.Sys().(*syscall.Stat_t).Uid)
	switch {
	case !fi.Mode().IsRegular():
		return f.refuse(f.path+" is not a regular file", hint)
	case fi.Mode()&0o022 != 0 || owner != 0 && owner != os.Geteuid():
		return f.refuse("another user may have written "+f.path, hint+" (chmod go-w)")
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

// refuse closes the file, which is not used any more, and says why.
func (f *file) refuse(what, hint string) (ok bool) {
	f.trouble(what, hint)
	f.data.Close()
	f.tail.Close()
	f.data, f.tail, f.writable = nil, nil, false
	return false
}

// check drops a file that is something else, and ends a line that is torn.
func (f *file) check() {
	if !f.isIndex && f.isOther || f.other > maxOther {
		f.refuse(f.path+" is not an index: it has other lines than CIPHERPATH<tab>PLAINPATH",
			"it is not used and not changed; give another file")
	} else if fi, err := f.data.Stat(); err == nil && f.writable && fi.Size() > f.end {
		f.tail.Write([]byte("\t\n"))
	}
}

// close closes the file. ok is false if there has been trouble.
func (f *file) close() (ok bool) {
	if f.writable {
		opened, _ := f.data.Stat()
		if named, _ := os.Stat(f.path); !os.SameFile(opened, named) {
			f.trouble(f.path+" was deleted or replaced meanwhile", "names of this run are not in it")
		}
	}
	f.data.Close() // an error would come too late: all data has been written
	f.tail.Close()
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
	end, _ := f.tail.Seek(0, io.SeekCurrent)
	start := end - int64(n)
	if err == nil {
		if _, err = f.data.WriteAt(lines, start); err == nil {
			return
		}
	}
	f.trouble(err.Error(), "no more names are added")
	f.writable = false
	if fi, err := f.data.Stat(); err == nil && fi.Size() == end {
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
		f.isOther = f.isOther || len(bytes.Trim(text, "\t\n")) > 0
		if err == bufio.ErrBufferFull {
			long += len(text)
			continue
		}
		l, ok := parse(bytes.TrimSuffix(text, []byte("\n")))
		ok = ok && long == 0
		f.isIndex = f.isIndex || ok
		if err != nil {
			if err != io.EOF {
				f.trouble(err.Error(), "names that could not be read are looked up elsewhere")
			}
			return
		}
		if ok {
			visit(l, f.end)
			f.other = 0
		}
		f.end += int64(long + len(text))
		long = 0
	}
}
