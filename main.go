// Gocryptfs-rsync-pretty shows the real names where a gocryptfs-encrypted backup
// shows ciphertext:
//
//	rsync ... 2>&1 | gocryptfs-rsync-pretty CTLSOCK MOUNT
//
// gocryptfs-rsync-pretty(1) is its manual.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"

	"gocryptfs-rsync-pretty/ctlsock"
	"gocryptfs-rsync-pretty/decode"
)

const program = "gocryptfs-rsync-pretty"

// Exit statuses.
const (
	exitOK        = 0 // all input was copied
	exitFailed    = 1 // reading or writing failed
	exitUsage     = 2
	exitEncrypted = 3 // with -strict: a name stayed encrypted
)

// workers is how many parts of a long text are decoded at the same time. A replay of
// 100,000 names takes a tenth to a sixth less time with 3 than with 1; with 4 it
// takes more CPU time and no less time (2 cores).
const workers = 3

const usage = `usage: rsync ... 2>&1 | gocryptfs-rsync-pretty [flags] CTLSOCK MOUNT

Show the real names where a gocryptfs-encrypted backup shows ciphertext.
CTLSOCK is the socket given to gocryptfs -ctlsock, MOUNT what rsync reads.

What is shown:
  -color WHEN        colour by kind of change: auto, always or never (auto)
  -hide-meta         leave out housekeeping files and their progress lines
  -map FILE          also append CIPHERPATH<tab>PLAINPATH for every name decoded
  -v                 summary on stderr at the end

How names are found:
  -plain DIR         where the plain files are (from the mount table)
  -strict            exit 3 if any name stayed encrypted
  -timeout DURATION  longest wait for one answer (10s)

  -version, -h       print the version, or this help
Exit status: 0 input copied, 1 read or write failed, 2 wrong usage, 3 -strict.

Examples:
  rsync -ai mnt/ host:dir 2>&1 | gocryptfs-rsync-pretty /run/enc.sock mnt
  gocryptfs-rsync-pretty -map names.tsv /run/enc.sock mnt < rsync.log
`

// version is set by the linker; otherwise it is that of the module.
var version string

func main() {
	// Workers wait in the kernel, and the runtime would take their Ps away meanwhile
	// if no other one were idle. That would be a third more CPU time.
	runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), workers+2))
	surviveInterrupt()
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// surviveInterrupt ignores the first Ctrl-C: it goes to the whole pipeline, and
// rsync still has something to say. The second one ends the program.
func surviveInterrupt() {
	if signal.Ignored(os.Interrupt) {
		return
	}
	c := make(chan os.Signal, 2)
	signal.Notify(c, os.Interrupt)
	go func() {
		<-c
		<-c
		signal.Reset(os.Interrupt)
		syscall.Kill(os.Getpid(), syscall.SIGINT)
	}()
}

// config is the command line.
type config struct {
	sock, mount string
	color       string
	hideMeta    bool
	mapFile     string
	plain       string
	strict      bool
	timeout     time.Duration
	verbose     bool
	version     bool
}

// run is the program; args are without its name.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	m := messages{stderr}
	c, err := parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return m.print(stdout, usage)
	case err != nil:
		m.error(err.Error(), "see "+program+" -help")
		return exitUsage
	case c.version:
		return m.print(stdout, program+" "+versionString()+"\n")
	}
	var index io.WriteCloser
	if c.mapFile != "" {
		f, err := os.OpenFile(c.mapFile, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			m.error("-map: "+err.Error(), "give a file that can be written, or leave out -map")
			return exitUsage
		}
		index = f
	}
	switch {
	case isClosed(stdin):
		m.error("standard input is closed", "usage: rsync ... 2>&1 | "+program+" CTLSOCK MOUNT")
		return exitFailed
	case isTerminal(stdin):
		m.hint("reading from the terminal; usage: rsync ... 2>&1 | " + program + " CTLSOCK MOUNT")
	}
	return filter(c, stdin, stdout, index, m)
}

func parse(args []string) (c config, err error) {
	flags := flag.NewFlagSet(program, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&c.color, "color", "auto", "")
	flags.BoolVar(&c.hideMeta, "hide-meta", false, "")
	flags.StringVar(&c.mapFile, "map", "", "")
	flags.StringVar(&c.plain, "plain", "", "")
	flags.BoolVar(&c.strict, "strict", false, "")
	c.timeout = ctlsock.DefaultTimeout
	flags.Func("timeout", "", func(s string) (err error) {
		c.timeout, err = time.ParseDuration(s)
		return err
	})
	flags.BoolVar(&c.verbose, "v", false, "")
	flags.BoolVar(&c.version, "version", false, "")
	if err := flags.Parse(args); err != nil || c.version {
		return c, err
	}
	switch {
	case c.color != "auto" && c.color != "always" && c.color != "never":
		return c, fmt.Errorf("-color is auto, always or never, not %q", c.color)
	case c.timeout <= 0:
		return c, fmt.Errorf("-timeout has to be positive, as in 10s, not %v", c.timeout)
	case flags.NArg() != 2:
		for _, arg := range flags.Args() {
			if strings.HasPrefix(arg, "-") {
				return c, fmt.Errorf("flags stand in front of the operands: %s", arg)
			}
		}
		return c, fmt.Errorf("two operands are needed, CTLSOCK and MOUNT, not %d", flags.NArg())
	}
	c.sock, c.mount = flags.Arg(0), flags.Arg(1)
	return c, nil
}

// filter copies stdin to stdout, decoded. index may be nil.
func filter(c config, stdin io.Reader, stdout io.Writer, index io.WriteCloser, m messages) int {
	start := time.Now()
	client := ctlsock.New(c.sock, c.timeout, func(p *ctlsock.Problem) { m.warning(p.What, p.Hint) })
	defer client.Close()
	connected := client.Connect()
	tree, err := decode.OpenTree(c.mount, c.plain, c.timeout)
	// Without gocryptfs there is no mount either, and one warning is enough.
	if e := (*decode.MountError)(nil); connected && errors.As(err, &e) {
		m.warning(e.What, e.Hint)
	}
	o := decode.Options{
		Names:    client,
		Tree:     tree,
		Window:   ctlsock.Window,
		Workers:  workers,
		Colour:   c.color == "always" || c.color == "auto" && wantsColour(stdout),
		HideMeta: c.hideMeta,
	}
	if index != nil {
		o.Index = decode.NewIndex(index)
	}
	stats, err := decode.Copy(stdout, stdin, o)
	status := exitOK
	if c.strict && stats.Encrypted > 0 {
		status = exitEncrypted
	}
	if err != nil {
		m.error(err.Error(), "")
		status = exitFailed
	}
	if index != nil {
		if err := errors.Join(o.Index.Flush(), index.Close()); err != nil {
			m.error("-map: "+err.Error(), "the index in "+c.mapFile+" is not complete")
			status = exitFailed
		}
	}
	if c.verbose {
		asked := client.Stats()
		fmt.Fprintf(m.w, "%s: %d names decoded, %d left encrypted, %d answers from the cache, %v waiting for gocryptfs, %v in all\n",
			program, stats.Decoded, stats.Encrypted, asked.Hits,
			asked.Wait.Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
	}
	return status
}

// wantsColour decides for -color auto. See https://no-color.org for NO_COLOR.
func wantsColour(stdout io.Writer) bool {
	return isTerminal(stdout) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func isTerminal(file any) bool {
	f, ok := file.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// isClosed reports whether a standard input was closed when the program started:
// Go has put /dev/null in its place then, open for writing too, which `</dev/null`
// is not (runtime, checkfds).
func isClosed(stdin any) bool {
	f, ok := stdin.(*os.File)
	if !ok {
		return false
	}
	null, err := os.Stat(os.DevNull)
	if err != nil {
		return false
	}
	fi, err := f.Stat()
	if err != nil || !os.SameFile(fi, null) {
		return false
	}
	_, err = f.Write([]byte{0})
	return err == nil
}

func versionString() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(unknown)"
}

// messages speaks to the user: a line each, in lower case and without a full stop,
// `name: kind: what`, and one more with what to do about it.
type messages struct{ w io.Writer }

func (m messages) error(what, hint string)   { m.say("error", what, hint) }
func (m messages) warning(what, hint string) { m.say("warning", what, hint) }
func (m messages) hint(what string)          { m.say("hint", what, "") }

func (m messages) say(kind, what, hint string) {
	text := fmt.Sprintf("%s: %s: %s\n", program, kind, what)
	if hint != "" {
		text += fmt.Sprintf("%s: hint: %s\n", program, hint)
	}
	io.WriteString(m.w, text)
}

// print writes what was asked for.
func (m messages) print(stdout io.Writer, text string) int {
	if _, err := io.WriteString(stdout, text); err != nil {
		m.error(err.Error(), "")
		return exitFailed
	}
	return exitOK
}
