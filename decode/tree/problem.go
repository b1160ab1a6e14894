package tree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// A Problem is what is wrong with the view or its plain directory, as a format of its details.
type Problem string

const (
	Empty        Problem = "the path of the encrypted directory is empty"
	NoDir        Problem = "the encrypted directory cannot be used: %v"
	Denied       Problem = "no permission to use the encrypted directory: %v"
	PlainSide    Problem = "%v is the plain side of a gocryptfs mount; the encrypted one is %v"
	NoView       Problem = "%v is not a gocryptfs mount"
	NotEncrypted Problem = "%v is not a gocryptfs mount, and nothing in it is encrypted"
	NoTable      Problem = "no mount table: %v"
	NoPlain      Problem = "the plain directory of %v was not found"
	Ambiguous    Problem = "there are two plain directories that %v could show: %v and %v"
	BadPlain     Problem = "the plain directory cannot be used: %v"
	OtherPlain   Problem = "%v is not the directory that %v shows"
	Elsewhere    Problem = "gocryptfs runs in another namespace, where paths mean something else"
	Silent       Problem = "%v or its plain directory does not answer"
	Mounting     Problem = "file systems are being mounted"
)

// A problem is a Problem with its details.
type problem struct {
	kind    Problem
	details []any
}

func wrong(kind Problem, details ...any) *problem { return &problem{kind: kind, details: details} }

// checkDir returns a problem of the given kind if dir is not a directory.
func checkDir(dir string, kind Problem) *problem {
	fi, err := os.Stat(dir)
	switch {
	case os.IsNotExist(err):
		return wrong(kind, dir+" does not exist")
	case errors.Is(err, fs.ErrPermission) && kind == NoDir:
		return wrong(Denied, err)
	case err != nil:
		return wrong(kind, err)
	case !fi.IsDir():
		return wrong(kind, dir+" is not a directory")
	}
	return nil
}

// isEncrypted reports whether a directory has the files of an encrypted one.
func isEncrypted(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, "gocryptfs.conf"))
	_, err2 := os.Lstat(filepath.Join(dir, "gocryptfs.diriv"))
	return err == nil || err2 == nil
}
