package tree

import (
	"os"
	"path/filepath"
)

// A Problem is what is wrong with the view or its plain directory, as a format of its details.
type Problem string

const (
	NoDir        Problem = "the encrypted directory cannot be used: %v"
	Denied       Problem = "a directory cannot be used: %v"
	PlainSide    Problem = "%v is the plain side of a gocryptfs mount; the encrypted one is %v"
	NoView       Problem = "%v is not a gocryptfs mount"
	NotEncrypted Problem = "%v is not a gocryptfs mount, and nothing in it is encrypted"
	NoPlain      Problem = "the plain directory of %v was not found"
	Ambiguous    Problem = "there are several plain directories that %v could show, such as %v and %v"
	BadPlain     Problem = "the plain directory cannot be used: %v"
	OtherPlain   Problem = "%v is not the directory that %v shows"
	Elsewhere    Problem = "gocryptfs runs in another namespace, where paths mean something else"
	Unsettled    Problem = "%v or its plain directory does not answer, or is being mounted"
)

// A problem is a Problem with its details.
type problem struct {
	kind    Problem
	details []any
}

func wrong(kind Problem, details ...any) *problem { return &problem{kind: kind, details: details} }

// checkDir returns a problem, mostly of the given kind, if dir cannot be used as a directory.
func checkDir(dir string, kind Problem) *problem {
	fi, err := os.Stat(dir)
	switch {
	case dir == "":
		return wrong(kind, "its path is empty")
	case os.IsNotExist(err):
		return wrong(kind, dir+" does not exist")
	case os.IsPermission(err):
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
