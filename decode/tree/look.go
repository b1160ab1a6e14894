package tree

import (
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/djherbis/times"
)

// sameFile reports whether entries of the two sides are the same file. gocryptfs hands
// the change time through. Without it, a snapshot would be taken for what it was made of.
func sameFile(encrypted, plain fs.FileInfo) bool {
	return inode(encrypted) == inode(plain) && changeTime(encrypted).Equal(changeTime(plain))
}

// isRecent reports whether what changed then may change once more without another change
// time. Some file systems, such as ext3, have only seconds.
func isRecent(changed time.Time) bool {
	if changed.Nanosecond() == 0 {
		return time.Since(changed) < entryTimeout
	}
	return time.Since(changed) < clockStep
}

// inode identifies a file on both sides: gocryptfs hands inode numbers through. It
// adds a tag in the upper 16 bits if the file is not on the device of the root
// (gocryptfs internal/inomap), which is removed here.
func inode(fi fs.FileInfo) uint64 {
	return uint64(fi.Sys().(*syscall.Stat_t).Ino) & (1<<48 - 1)
}

func changeTime(fi fs.FileInfo) time.Time { return times.Get(fi).ChangeTime() }

// lstat describes the file at a path in the directory dir.
func lstat(dir, path string) (fs.FileInfo, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return root.Lstat(path)
}

// isHung reports whether a look hangs. Until it ends, all that looks change is its own.
func (t *Tree) isHung() bool {
	if !t.busy.TryLock() {
		return true
	}
	t.busy.Unlock()
	return false
}

// within returns the results of f. ok is false if f takes longer than the timeout, or if
// another look still hangs.
func within[A, B any](t *Tree, f func() (A, B)) (a A, b B, ok bool) {
	if !t.busy.TryLock() {
		return a, b, false
	}
	var x A // x, y and defect are written before done is closed
	var y B
	var defect any
	done := make(chan struct{})
	go func() {
		defer func() {
			defect = recover()
			t.busy.Unlock()
			close(done)
		}()
		x, y = f()
	}()
	select {
	case <-done:
	case <-time.After(t.timeout):
		return a, b, false
	}
	if defect != nil {
		panic(defect)
	}
	return x, y, true
}
