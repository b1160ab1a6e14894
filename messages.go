package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"gocryptfs-rsync-pretty/ctlsock"
	"gocryptfs-rsync-pretty/decode"
	"gocryptfs-rsync-pretty/decode/escape"
	"gocryptfs-rsync-pretty/decode/tree"
)

// hints says what to do: by the cause of trouble with the socket, nil if that is not known, or by
// the problem of the tree. It stands here since the packages do not know flags and operands.
var hints = map[any]string{
	ctlsock.ErrEmpty:       "CTLSOCK is empty; is a variable of the script not set?",
	ctlsock.ErrStranger:    "it is not asked: run as the user who mounted it, and keep the socket where nobody else can write",
	syscall.ENOTSOCK:       "the operands are CTLSOCK, as given to gocryptfs -ctlsock, and MOUNT, in this order",
	fs.ErrNotExist:         "mount with: gocryptfs -ctlsock CTLSOCK ...; is it mounted?",
	syscall.ECONNREFUSED:   "it was left behind by a gocryptfs that is gone: remove it and mount again",
	fs.ErrPermission:       "run as the user who mounted it",
	syscall.EINVAL:         "at most 107 bytes on Linux and 103 elsewhere: use a shorter or a relative one",
	syscall.EAGAIN:         "is it stopped, or too busy? names come back when it answers",
	syscall.EMFILE:         "ulimit -n sets the limit",
	os.ErrDeadlineExceeded: "is the plain directory slow, or gocryptfs stopped? -timeout sets how long to wait",
	ctlsock.ErrBadReply:    "is CTLSOCK the control socket of gocryptfs, and of this mount?",
	io.EOF:                 "has it been unmounted or killed? names come back when it answers again",
	nil:                    "mount with: gocryptfs -ctlsock CTLSOCK ...",

	tree.NoDir:        "give the encrypted directory that rsync reads",
	tree.Denied:       "run as the user who mounted it, or mount it with -allow_other",
	tree.PlainSide:    "give the encrypted one",
	tree.NoView:       "give the directory that rsync reads, or -plain",
	tree.NotEncrypted: "give the directory that rsync reads; in a container, mount it there, too",
	tree.NoPlain:      "name it with -plain",
	tree.Ambiguous:    "name the right one with -plain",
	tree.BadPlain:     "give the directory with the real names to -plain",
	tree.OtherPlain:   "give -plain the directory that MOUNT shows",
	tree.Elsewhere:    "name the plain directory, as it is seen here, with -plain",
	tree.Unsettled:    "it is looked at again",
}

// messages writes to the user. A message is one line, `name: kind: what`, in lower
// case and without a full stop. A second line may say what to do about it. Control
// characters are escaped: a message may hold text from outside.
type messages struct{ w io.Writer }

func (m messages) error(what, hint string)   { m.say("error", what, hint) }
func (m messages) warning(what, hint string) { m.say("warning", what, hint) }
func (m messages) hint(what string)          { m.say("hint", what, "") }

func (m messages) socket(cause error, problem string) { m.warning(problem, hints[cause]) }

func (m messages) files(p tree.Problem, details ...any) {
	m.warning(fmt.Sprintf(string(p), details...), hints[p]+"; until then, targets of links stay encrypted")
}

func (m messages) index(what, hint string) { m.warning("-map: "+what, hint) }

func (m messages) say(kind, what, hint string) {
	text := fmt.Sprintf("%s: %s: %s\n", program, kind, escape.String(what))
	if hint != "" {
		text += fmt.Sprintf("%s: hint: %s\n", program, escape.String(hint))
	}
	io.WriteString(m.w, text)
}

// print writes the text that a flag asked for, and returns the exit status.
func (m messages) print(stdout io.Writer, text string) int {
	if _, err := io.WriteString(stdout, text); err != nil {
		m.error(err.Error(), "")
		return exitFailed
	}
	return exitOK
}

// encrypted says what is to be said of the names that stayed encrypted, and returns the
// status. failed is the number of questions without an answer.
func (m messages) encrypted(stats decode.Stats, c config, failed int) int {
	if stats.Encrypted == 0 {
		return exitOK
	}
	hint, left := "", stats.Encrypted-stats.Targets
	switch {
	case c.indexOnly:
	case failed == 0 && stats.Decoded+stats.Partly == 0 && left > 1:
		hint = fmt.Sprintf("none of %s could be decoded; is CTLSOCK the one that MOUNT was mounted with?", count(left, "name"))
	case !c.strict:
	case failed > 0:
		hint = "gocryptfs did not answer for all of them"
	case left == 0:
		hint = "the target of a link is read from the plain directory, unless that is missing or the link has changed"
	default:
		hint = "-map shows names that are gone; the manual says what else stays encrypted"
	}
	if c.strict {
		m.error(fmt.Sprintf("%s stayed encrypted, the first of them %s", count(stats.Encrypted, "name"), stats.First), hint)
		return exitEncrypted
	}
	if hint != "" {
		m.hint(hint)
	}
	return exitOK
}

// summary says what was found, in a line for the names and, if anything is known, one for the
// log. indexed means that there was an index to ask.
func (m messages) summary(stats decode.Stats, asked ctlsock.Stats, spent time.Duration, indexed bool) {
	index := ""
	if indexed {
		index = fmt.Sprintf(" %d answers from the index,", stats.Indexed)
	}
	fmt.Fprintf(m.w, "%s: %s decoded, %d left encrypted,%s %v waiting for gocryptfs, %v in all\n",
		program, count(stats.Decoded, "name"), stats.Encrypted, index,
		asked.Wait.Round(time.Millisecond), spent.Round(time.Millisecond))
	var parts []string
	add := func(n int64, text string) {
		// Only a log with lines of rsync -i shows that there is nothing to report.
		if n > 0 || stats.Itemized {
			parts = append(parts, text)
		}
	}
	add(stats.New, fmt.Sprint(stats.New, " new"))
	add(stats.Changed, fmt.Sprint(stats.Changed, " changed"))
	add(stats.Deleted, fmt.Sprint(stats.Deleted, " deleted"))
	add(stats.Warnings, count(stats.Warnings, "warning"))
	add(stats.Errors, count(stats.Errors, "error"))
	if len(parts) > 0 {
		fmt.Fprintf(m.w, "%s: the log reports %s\n", program, strings.Join(parts, ", "))
	}
}

// count returns n with a noun.
func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
