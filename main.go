// Gocryptfs-rsync-pretty shows the real names where a gocryptfs-encrypted backup
// shows ciphertext:
//
//	rsync ... 2>&1 | gocryptfs-rsync-pretty CTLSOCK MOUNT
//
// gocryptfs-rsync-pretty(1) is its manual.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

const program = "gocryptfs-rsync-pretty"

// Exit statuses.
const (
	exitOK        = 0 // all input was copied
	exitFailed    = 1 // reading or writing failed, or there was trouble with the index
	exitUsage     = 2 // wrong usage; nothing was read
	exitEncrypted = 3 // with -strict: a name stayed encrypted; with -encrypt-paths: one is not known
)

const seeHelp = "usage: rsync ... 2>&1 | " + program + " CTLSOCK MOUNT; see -help"

const usage = `usage: rsync ... 2>&1 | gocryptfs-rsync-pretty [flags] CTLSOCK MOUNT
       gocryptfs-rsync-pretty [flags] -map FILE < rsync.log
       gocryptfs-rsync-pretty -encrypt-paths [flags] [CTLSOCK MOUNT] < paths

Show the real names where a gocryptfs-encrypted backup shows ciphertext.
CTLSOCK is the socket given to gocryptfs -ctlsock, MOUNT the encrypted
directory that rsync reads.

  -color WHEN        color by kind of change: auto (default), always or never
  -encrypt-paths     the way back: read plain paths, one a line, and write
                     encrypted ones for rsync --files-from; with -hide-meta
                     the paths alone
  -hide-meta         leave out housekeeping files and their progress lines
  -map FILE          remember names: look them up in FILE first, append
                     CIPHERPATH<tab>PLAINPATH for new ones
  -plain DIR         where the plain files are (default: from the mount table)
  -strict            exit 3 if any name stayed encrypted
  -timeout DURATION  longest wait for one answer (default: 10s)
  -v                 summary on stderr at the end: names, what the log reports
  -version           print the version
  -h, -help          print this help

Exit status: 0 input copied, 1 read or write failed or trouble with FILE,
2 wrong usage, 3 -strict or -encrypt-paths.
`

var version string // set by the linker, except by go install

func main() {
	// Garbage collection takes cores from gocryptfs. With the default of 100, a replay
	// of 100,000 names takes a tenth longer (2 cores).
	debug.SetGCPercent(400)
	// The heap would grow to five times what is in use: names that are not UTF-8, in four huge
	// directories, took 40 MiB in all instead of 28 (make bench). run raises the limit for the
	// tables of a full index, which take 24 MiB, and for the way back: with 32 MiB, 300,000 paths
	// from gocryptfs take 6.1 s of CPU instead of 3.5, and 100,000 names beside a full index 10.4 s
	// instead of 3.9, with 4,056 collections instead of 13 (GODEBUG=gctrace=1).
	debug.SetMemoryLimit(32 << 20)
	surviveInterrupt()
	// When nobody reads messages any more, the text goes on: a write to a broken pipe ends a Go
	// program if the descriptor is 1 or 2 (os/signal), and this is a copy.
	fd, _ := unix.Dup(2)
	stderr := os.NewFile(uintptr(fd), "/dev/stderr")
	os.Exit(run(os.Args[1:], waitingFile{os.Stdin}, waitingFile{os.Stdout}, stderr))
}

// A config is a parsed command line.
type config struct {
	sock, mount string // empty without operands
	indexOnly   bool   // there are no operands

	color, mapFile, plain, wait string // wait is -timeout
	timeout                     time.Duration

	encrypt, hideMeta, strict, verbose, version bool
}

// run runs the program and returns its exit status. args do not include the
// program's name.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	m := messages{stderr}
	c, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return m.print(stdout, usage)
	case err != nil:
		m.error(err.Error(), seeHelp)
		return exitUsage
	case c.version:
		info, _ := debug.ReadBuildInfo() // every build with modules has it
		return m.print(stdout, program+" "+cmp.Or(version, info.Main.Version, "(unknown)")+"\n")
	}
	way := filter
	if c.encrypt {
		way = encryptPaths
	}
	if c.encrypt || c.mapFile != "" {
		debug.SetMemoryLimit(48 << 20) // see main
	}
	if isTerminal(stdin) {
		m.hint("reading from the terminal, until Ctrl-D; see -help")
	}
	return way(c, stdin, stdout, m)
}

// newFlags returns the flags, which set c.
func newFlags(c *config) *flag.FlagSet {
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&c.color, "color", "", "") // auto
	flags.BoolVar(&c.encrypt, "encrypt-paths", false, "")
	flags.BoolVar(&c.hideMeta, "hide-meta", false, "")
	flags.StringVar(&c.mapFile, "map", "", "")
	flags.StringVar(&c.plain, "plain", "", "")
	flags.BoolVar(&c.strict, "strict", false, "")
	flags.StringVar(&c.wait, "timeout", "10s", "") // as gocryptfs's own client, for network file systems
	flags.BoolVar(&c.verbose, "v", false, "")
	flags.BoolVar(&c.version, "version", false, "")
	return flags
}

// parse returns the config for args. Flags and operands may be mixed.
func parse(args []string) (c config, err error) {
	flags := newFlags(&c)
	var operands []string
	for err = flags.Parse(args); err == nil && flags.NArg() > 0; err = flags.Parse(args) {
		if n := len(args) - flags.NArg(); n > 0 && args[n-1] == "--" {
			operands = append(operands, flags.Args()...)
			break
		}
		operands, args = append(operands, flags.Arg(0)), flags.Args()[1:]
	}
	flags.Visit(func(f *flag.Flag) { // perhaps a variable of the shell that is not set
		if err == nil && f.Value.String() == "" {
			err = errors.New("the value of -" + f.Name + " is empty")
		}
	})
	if c.timeout, _ = time.ParseDuration(c.wait); c.timeout == 0 {
		c.timeout, _ = time.ParseDuration(c.wait + "s")
	}
	switch n := len(operands); {
	case c.version, err != nil:
	case c.timeout <= 0:
		err = fmt.Errorf("-timeout is a duration such as 500ms, 10s or 1m, not %q", c.wait)
	case c.color != "" && c.color != "auto" && c.color != "always" && c.color != "never":
		err = fmt.Errorf("-color is auto, always or never, not %q", c.color)
	case c.color != "" && c.encrypt:
		err = errors.New("-color does not go with -encrypt-paths")
	case n == 2:
		c.sock, c.mount = operands[0], operands[1]
	case n == 0 && c.mapFile != "":
		c.indexOnly = true
	case n == 0:
		err = errors.New("CTLSOCK and MOUNT are missing")
	case n == 1:
		err = errors.New("MOUNT is missing: the operands are CTLSOCK and MOUNT")
	default:
		err = errors.New("too many operands: a log is read from standard input, as in < " + operands[2])
	}
	return c, err
}
