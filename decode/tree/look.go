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
// time. Some file systems, such as ext3, have only seconds. A time in the future is not that
// of the next change.
func isRecent(changed time.Time) bool {
	if changed.Nanosecond() == 0 {
		return time.Since(changed).Abs() < entryTimeout
	}
	return time.Since(changed).Abs() < clockStep
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

// shared returns the file that both paths lead to. ok is false if there is none.
func (t *Tree) shared(cipher, plain string) (encrypted fs.FileInfo, ok bool) {
	encrypted, err := lstat(t.view.dir, cipher)
	if err != nil {
		return nil, false
	}
	file, err := lstat(t.view.plain, plain)
	return encrypted, err == nil && t.same(encrypted, file)
}

// isHung reports whether a look hangs. Until it ends, all that looks change is its own.
func (t *Tree) isHung() bool {
	if !t.busy.TryLock() {
		return true
	}
	t.busy.Unlock()
	return false
}

// await returns the result of what was begun. ok is false if that takes longer than the limit.
func await[A any](done <-chan func() A, limit time.Duration) (a A, ok bool) {
	select {
	case result := <-done:
		return result(), true
	case <-time.After(limit):
		return a, false
	}
}

// spawn runs f in a goroutine of its own. It sends a function that returns the result of f,
// or panics if f did.
func spawn[A any](f func() A) <-chan func() A {
	done := make(chan func() A, 1)
	go func() {
		var a A
		defer func() {
			defect := recover()
			done <- func() A {
				if defect != nil {
					panic(defect)
				}
				return a
			}
		}()
		a = f()
	}()
	return done
}
