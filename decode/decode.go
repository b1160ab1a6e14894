// Package decode copies a text and shows the real names in it: text in, text
// out. It finds names that look encrypted by gocryptfs anywhere in the text, asks
// for their plain paths, and writes these instead.
//
// It promises, for any bytes and however they are cut into reads:
//
//   - Bytes outside a decoded token come out unchanged and in order.
//   - The input is read to its end, whatever happens to the questions, even if
//     decoding panics.
//   - No name plays a trick on a terminal.
//   - A wrong name is never shown. When in doubt, the token stays as it is.
//   - Memory and work are bounded.
//   - Only bytes that could still become part of a token wait for more input or, with
//     Color or HideMeta, those that decide about a record.
//
// One goroutine goes through the text. A second one was measured not to help a
// live rsync.
//
// Each file calls only those after it: copy.go, rewrite.go, chain.go, nearby.go,
// lookup.go, budget.go.
package decode

import (
	"fmt"
	"io"
	"time"

	"gocryptfs-rsync-pretty/decode/index"
	"gocryptfs-rsync-pretty/decode/scan"
	"gocryptfs-rsync-pretty/decode/style"
)

// Copy copies src to dst, decoded, until src ends or one of them returns an error.
// Before each read it writes everything that later input cannot change. If decoding
// panics, the rest is copied unchanged and the error says so. The Stats are valid
// with an error, too.
func Copy(dst io.Writer, src io.Reader, o Options) (Stats, error) {
	c := copier{
		dst:      dst,
		buf:      make([]byte, 0, maxContext+2*scan.MaxToken+readSize),
		rewriter: rewriter{lookup: newLookup(o.Names, o.Files, o.Index, o.Timeout)},
		style:    style.New(o.Color, o.HideMeta, o.Report, o.Mount),
	}
	defect, err := c.run(src)
	if defect != nil {
		if _, err = dst.Write(c.buf[c.from:]); err == nil {
			_, err = io.Copy(dst, src)
		}
		if err == nil {
			err = fmt.Errorf("internal error: decoding stopped (%v); the rest passed unchanged", defect)
		}
	}
	stats, counts := c.rewriter.count, c.style.Counts
	stats.Indexed = c.rewriter.lookup.indexed
	stats.New, stats.Changed, stats.Deleted = counts[style.Added], counts[style.Changed], counts[style.Deleted]
	stats.Warnings, stats.Errors = counts[style.Warning], counts[style.Failure]
	stats.Itemized = stats.New+stats.Changed+counts[style.Unchanged] > 0
	return stats, err
}

// Options configures Copy.
type Options struct {
	Names Names // may be nil
	Files Files
	Index *index.Index // asked before Names, and learns their answers; may be nil

	// Timeout is the time after which nothing more is asked about one token. If it is
	// 0, there is no limit.
	Timeout time.Duration

	// Color colors records by kind of change, with ANSI sequences.
	Color bool
	// HideMeta leaves out records about housekeeping files, and the progress that
	// follows them. A record is then written when it is complete, unless it is
	// progress.
	HideMeta bool
	// Mount is the absolute path of the encrypted directory. It helps HideMeta with a
	// path that has blanks, and may be empty.
	Mount string
	// Report counts the records of each kind.
	Report bool
}

// Stats counts what was found.
type Stats struct {
	Decoded   int64  // names shown in plain: paths, each of them once, and targets of links
	Encrypted int64  // names that stayed encrypted, in whole or in part
	Partly    int64  // those of them that are shown in part
	Targets   int64  // those of them that are targets of links
	First     string // the beginning of the first name that stayed encrypted, as it is shown
	Indexed   int64  // answers from the index

	// Records of each kind, without those about housekeeping files, if Options.Report is
	// set. A warning or an error may take several.
	New, Changed, Deleted, Warnings, Errors int64

	Itemized bool // there were records of rsync -i, so that a number of 0 is known
}

// Names decrypts paths relative to the root of the encrypted view. Its methods are
// called from one goroutine.
type Names interface {
	// Prepare announces that Decrypt is going to be called with a cipher path, so that
	// it can be asked for ahead. It returns false if it has to be called again later.
	Prepare(cipher string) bool
	// Decrypt returns the plain path of a cipher path. It has as many components, and
	// U+FFFD in place of each byte that is not valid UTF-8. ok is false if there is no
	// such name or nobody to ask.
	Decrypt(cipher string) (plain string, ok bool)
	// Encrypt returns the cipher path of a plain path. ok is false if there is none, if
	// the path is not valid UTF-8, or if there is nobody to ask.
	Encrypt(plain string) (cipher string, ok bool)
}

// A View is what is known of the encrypted view that MOUNT lies in. It is an alias, so that
// the package that looks at files does not depend on this one.
type View = struct {
	Sub           string // the cipher path of MOUNT, empty if that is the root of the view
	Plain         string // the plain directory, empty if it is not known
	Reverse       bool   // the view is known to be made of plain files
	Deterministic bool   // a name may be the same in every directory; set unless the opposite is known
}

// Files are the files behind the names. Paths are relative to the roots of the encrypted
// view and of the plain directory. Its methods are called from one goroutine.
type Files interface {
	// View returns what is known now.
	View() View
	// Exists reports whether the view is known to have a file with this cipher path.
	Exists(cipher string) bool
	// Spelling returns the exact plain path of a cipher path whose last name is not UTF-8. plain
	// has U+FFFD in that name, and only there. ok is false if the files do not prove it or, without
	// look, if it is not known yet. read is the number of directory entries that had to be read.
	Spelling(cipher, plain string, look bool) (exact string, read int, ok bool)
	// Target returns the plain target of a symbolic link if text is its encrypted target.
	// ok is false if it is not, or if the files do not prove it.
	Target(cipher, plain string, text []byte) (target string, ok bool)
}
