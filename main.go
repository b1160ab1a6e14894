// Gocryptfs-rsync-pretty shows the real names where a gocryptfs-encrypted backup
// shows ciphertext:
//
//	rsync ... 2>&1 | gocryptfs-rsync-pretty CTLSOCK MOUNT
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"github.com/mattn/go-isatty"

	"gocryptfs-rsync-pretty/ctlsock"
	"gocryptfs-rsync-pretty/decode"
)

const program = "gocryptfs-rsync-pretty"

// Exit statuses.
const (
	exitOK     = 0 // all input was copied
	exitFailed = 1 // reading or writing failed
	exitUsage  = 2
)

// workers is how many questions are asked at once.
const workers = 8

const usage = `usage: rsync ... 2>&1 | gocryptfs-rsync-pretty [flags] CTLSOCK MOUNT
`

// version is set by the linker; otherwise the module's own version counts.
var version string

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

// run is the program. args are without its name.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	plain := flags.String("plain", "", "")
	timeout := flags.Duration("timeout", ctlsock.DefaultTimeout, "")
	showVersion := flags.Bool("version", false, "")
	m := messages{stderr}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		return exitOK
	} else if err != nil {
		m.error(err.Error(), "see -help")
		return exitUsage
	}
	if *showVersion {
		fmt.Fprintln(stdout, program, versionString())
		return exitOK
	}
	if flags.NArg() != 2 {
		m.error("CTLSOCK and MOUNT are needed", "rsync ... | "+program+" CTLSOCK MOUNT")
		return exitUsage
	}
	if f, ok := stdin.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		m.hint("reading from the terminal; pipe the output of rsync into it")
	}
	return copyText(flags.Arg(0), flags.Arg(1), *plain, *timeout, stdin, stdout, m)
}

func copyText(sock, mount, plain string, timeout time.Duration, stdin io.Reader, stdout io.Writer, m messages) int {
	client := ctlsock.New(sock, timeout, func(p *ctlsock.Problem) { m.warning(p.What, p.Hint) })
	defer client.Close()
	tree, err := decode.OpenTree(mount, plain, timeout)
	if e, ok := err.(*decode.MountError); ok {
		m.warning(e.What, e.Hint)
	}
	_, err = decode.Copy(stdout, stdin, decode.Options{Names: client, Tree: tree, Workers: workers})
	if err != nil {
		m.error(err.Error(), "")
		return exitFailed
	}
	return exitOK
}

func versionString() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "(unknown)"
}

// messages writes to the user. Each one is a line in lower case, without a full
// stop, and says first who speaks.
type messages struct{ w io.Writer }

func (m messages) error(what, hint string)   { m.print("error", what, hint) }
func (m messages) warning(what, hint string) { m.print("warning", what, hint) }
func (m messages) hint(what string)          { m.print("hint", what, "") }

func (m messages) print(kind, what, hint string) {
	fmt.Fprintf(m.w, "%s: %s: %s\n", program, kind, what)
	if hint != "" {
		fmt.Fprintf(m.w, "%s: hint: %s\n", program, hint)
	}
}
