package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/mattn/go-isatty"
	"golang.org/x/sys/unix"
)

// surviveInterrupt ignores the first Ctrl-C: it goes to the whole pipeline, and rsync still
// prints its last messages. The second one ends the program, unless that was started with Ctrl-C
// ignored, as a script starts a command with `&`.
func surviveInterrupt() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop)
}

// A waitingFile waits until it is ready, even if another process that shares it has
// made it non-blocking. The file is a field, since io.Copy would use its other methods.
type waitingFile struct{ file *os.File }

// Fd returns the descriptor.
func (f waitingFile) Fd() uintptr { return f.file.Fd() }

func (f waitingFile) Read(b []byte) (int, error) {
	for {
		n, err := f.file.Read(b)
		if !errors.Is(err, syscall.EAGAIN) {
			return n, err
		}
		f.wait(unix.POLLIN)
	}
}

// Write writes all of b. Where the reader of standard output is gone, os.File ends the program
// quietly, as any filter.
func (f waitingFile) Write(b []byte) (done int, err error) {
	for done < len(b) && err == nil {
		var n int
		n, err = f.file.Write(b[done:])
		done += n
		if errors.Is(err, syscall.EAGAIN) {
			f.wait(unix.POLLOUT)
			err = nil
		}
	}
	return done, err
}

// wait returns when one of the events is possible.
func (f waitingFile) wait(events int16) {
	fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: events}}
	unix.Poll(fds, -1) // the next Read or Write returns any error
}

// isTerminal reports whether a file, or a waitingFile, is a terminal.
func isTerminal(file any) bool {
	f, ok := file.(interface{ Fd() uintptr })
	return ok && isatty.IsTerminal(f.Fd())
}
