package tree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// A problem says in words what is wrong and what to do about it.
type problem struct {
	what, hint string
	passing    bool // files have changed a moment ago, so it may be gone soon
}

// wrong returns a problem with a hint that adds the consequences.
func wrong(what, hint string) *problem {
	return &problem{what: what, hint: hint + "; names are decoded, targets of links are not"}
}

const (
	giveMount = "give the encrypted directory that rsync reads"
	givePlain = "give the directory with the real names"
)

func otherNamespace() *problem {
	return wrong("gocryptfs runs in another namespace, where paths mean something else",
		"name the plain directory, as it is seen here, with -plain")
}

func noAnswer(mount string) *problem {
	return &problem{what: mount + " or its plain directory does not answer", hint: "targets of links stay encrypted until it does"}
}

func beingMounted() *problem {
	return &problem{what: "file systems are being mounted", hint: "targets of links stay encrypted until that ends", passing: true}
}

func plainSide(dir, encrypted string) *problem {
	return wrong(dir+" is the plain side of a gocryptfs mount", "give the encrypted one: "+encrypted)
}

func noView(dir string) *problem {
	if isEncrypted(dir) {
		return wrong(dir+" is not a gocryptfs mount", "give the directory that rsync reads, or -plain")
	}
	return wrong(dir+" is not a gocryptfs mount, and nothing in it is encrypted",
		"give the directory that rsync reads; in a container, mount it there, too")
}

// checkDir returns a problem if dir, the value of operand, is not a directory. hint says which
// one to give.
func checkDir(operand, dir, hint string) *problem {
	fi, err := os.Stat(dir)
	switch {
	case os.IsNotExist(err):
		return wrong(operand+" "+dir+" does not exist", hint)
	case errors.Is(err, fs.ErrPermission) && operand == "MOUNT":
		return wrong("MOUNT cannot be used: "+err.Error(), "run as the user who mounted it, or mount it with -allow_other")
	case err != nil:
		return wrong(operand+" cannot be used: "+err.Error(), hint)
	case fi.Mode().Type() == fs.ModeSocket:
		return &problem{what: operand + " " + dir + " is a socket", hint: "the operands are CTLSOCK and MOUNT, in this order"}
	case !fi.IsDir():
		return wrong(operand+" "+dir+" is not a directory", hint)
	}
	return nil
}

// isEncrypted reports whether a directory has the files of an encrypted one.
func isEncrypted(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, "gocryptfs.conf"))
	_, err2 := os.Lstat(filepath.Join(dir, "gocryptfs.diriv"))
	return err == nil || err2 == nil
}
