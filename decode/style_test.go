package decode

import (
	"fmt"
	"strings"
	"testing"

	"gocryptfs-rsync-pretty/decode/scan"
	"gocryptfs-rsync-pretty/decode/style"
)

// figures is a progress update.
func figures(n, percent int) string {
	return fmt.Sprintf("\r%15d %3d%% %7.2fkB/s    0:00:00  ", n, percent, 1.0)
}

// TestHideMeta hides records, and the progress that follows them.
func TestHideMeta(t *testing.T) {
	const conf = "gocryptfs.conf\n"
	half, all, count := figures(10, 50), figures(100, 100), "(xfr#1, to-chk=1/3)\n"
	padded, long := "1 1% 1:1:1"+strings.Repeat(" ", 1014), strings.Repeat("x ", scan.MaxToken) // the longest figures; too long a line
	several := strings.Repeat("x ", readSize)                                                   // reads
	for in, want := range map[string]string{
		"A\n" + conf + "B\n":           "A\nB\n",
		conf + "gocryptfs.diriv\n":     "",
		"A\n" + conf[:len(conf)-1]:     "A\n",
		conf + "A":                     "A",
		"A\rgocryptfs.conf\rB\r":       "A\rB\r",
		long + conf + "A\n":            long + conf + "A\n",
		several + conf + "A\n":         several + conf + "A\n",
		long + "\n" + conf + "A\n":     long + "\nA\n",
		encA + "\n":                    conf, // it only looks so when it is plain
		encA + "/gocryptfs.diriv\nA\n": "A\n",

		// Progress of a file.
		"A\n" + half + all + count + conf + half + all + count + "\nB\n":         "A\n" + half + all + count + "\nB\n",
		half + "\n" + conf + all + "\nA\n" + all + "\n":                          half + "\nA\n" + all + "\n",
		conf + "rsync: x\n" + all + "\n":                                         "rsync: x\n" + all + "\n",
		conf + "\n" + all + "\n":                                                 "\n" + all + "\n",
		conf + strings.Repeat(half, 500) + "\nA\n" + half + "\n":                 "A\n" + half + "\n",
		conf + "1 1% 1:1:1\nA\n" + conf + "1 1% 1:1:1\r\n" + conf + "1 1% 1:1:1": "A\n",
		conf + strings.Repeat("1 1% 1:1:1 ", 2000) + "A\n":                       "A\n",
		conf + padded + "\nA\n":                                                  "A\n",
		conf + padded + " \nA\n":                                                 " \nA\n",
		padded + conf + "A\n":                                                    padded + "A\n",

		// No progress: a name follows, or something else.
		conf + "1 1% 1:1:1/A\n" + conf + "1 1% 1:1:1 (A)\n": "1 1% 1:1:1/A\n(A)\n",

		// CRLF, as script(1) records it.
		"A\r\ngocryptfs.conf\r\n" + all + "\r\nB\r\n": "A\r\nB\r\n",
		"gocryptfs.conf\r\n\r\n1 1% 1:1:1\r\n":        "\n1 1% 1:1:1\r\n",
		"gocryptfs.conf\r\n\nA\n":                     "\nA\n",

		// The prefixes of ts and of journalctl.
		"Nov 23 03:10:00 A\nNov 23 03:10:01 " + conf + "Nov 23 03:10:01 \r" + all[1:] + "\nNov 23 03:10:02 B\n": "Nov 23 03:10:00 A\nNov 23 03:10:02 B\n",
		"2026-11-23T03:10:00+0100 host backup[1]: >f+++++++++ gocryptfs.diriv\n":                                "",

		// rsync pulls, and two processes write (-vv --progress).
		conf + half + "A is uptodate\n":                 "A is uptodate\n",
		"A\n" + half + "gocryptfs.conf is uptodate\n":   "A\n" + half,
		"1 1% 1:1:1 1 1% 1:1:1 gocryptfs.diriv\nnext\n": "1 1% 1:1:1 1 1% 1:1:1 next\n",

		// Progress of the whole run, to its end (--info=progress2).
		"A\n" + half + count + conf + all + count + "A\n": "A\n" + half + count + all + count + "A\n",

		// Many batches.
		strings.Repeat(conf+half+"\nA\n"+all+"\n", 500): strings.Repeat("A\n"+all+"\n", 500),
	} {
		checkCuts(t, in, want, Options{Names: paths{encA: "gocryptfs.conf"}, HideMeta: true})
	}
}

// TestColorLong checks that a record of more than scan.MaxToken, which is never seen as a
// whole, has the color of its beginning, from there to its end.
func TestColorLong(t *testing.T) {
	rest := strings.Repeat("x ", scan.MaxToken)
	got := copyAll(t, inPieces("*deleting   ", rest, rest, "\ny"), Options{Names: paths{}, Color: true})
	wantSame(t, "a long record", colors.Kinds[style.Deleted]+"*deleting   "+rest+rest+colors.Reset+"\ny", got)
}

// TestColorInString checks that a name within a control string, which a sequence would end,
// is not marked, and that one after it is.
func TestColorInString(t *testing.T) {
	mark := strings.NewReplacer("|"+encA+"|", "|"+colors.Reset+colors.Dim+encA+colors.Reset+"|").Replace
	for _, text := range []string{
		"\x1b]8;;file://host/" + encA + "\x1b\\|" + encA + "|\x1b]8;;\x1b\\|", "\x1b]0;" + encA + "\a|" + encA + "|", "\x1b]0;\n|" + encA + "|",
		"\u009d8;;" + encA + "\u009c|" + encA + "|", "\u009dö©" + encA + "\a", "\u009b1" + encA, // C1
		"\x1b-" + scan.LongPrefix + encA + encA[:21],
	} {
		wantSame(t, text, mark(text), copyAll(t, strings.NewReader(text), Options{Names: paths{}, Color: true}))
	}
	for _, open := range []string{"\x1b]0;title", "\u009d0;title", "\x1b[1", "\u009b1", "\x1b(", "\xc2", "\x1b\x1b["} {
		want := colors.Kinds[style.Failure] + "rsync: x" + colors.Reset + open + "\n"
		checkCuts(t, "rsync: x"+open+"\n", want, Options{Names: paths{}, Color: true})
	}
}
