package main

import (
	"bufio"
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
	"gocryptfs-rsync-pretty/decode"
)

// Whole runs of the program, made by `make bench`. All contenders take turns in the
// same rounds, and the fastest runs are compared, because other work of the machine can
// only add to a time. The filter is the built program, in a new process each time.

const (
	benchRounds = 7
	benchDirs   = 2000
	benchFiles  = 50 // in each of them
	benchBytes  = 200 << 20
	benchLines  = 10_000_000
)

// A bench is what is measured on: a mounted file system and what rsync prints of it. What the
// working directory has stands in testdata/bench.txt.
type bench struct {
	mount *mount
	paths []string // in the log
	table *tabwriter.Writer
}

func TestBench(t *testing.T) {
	b := newBench(t)
	fmt.Printf("%d names, the fastest of %d rounds, %s, %d CPUs: %s\n\n", len(b.paths), benchRounds, runtime.Version(),
		runtime.NumCPU(), output(t, "sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1"))
	b.table = tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer b.table.Flush()
	fmt.Fprintln(b.table, "figure\tmeasured\tmust reach\t")
	for paragraph := range strings.SplitSeq(comparisons, "\n\n") {
		b.comparison(t, paragraph)
	}
	b.passThrough(t)
	b.memory(t)
	b.hostile(t)
}

// newBench skips the test unless GRP_BENCH is set, because it takes minutes.
func newBench(t *testing.T) *bench {
	t.Helper()
	if os.Getenv("GRP_BENCH") == "" {
		t.Skip("run by make bench")
	}
	need(t, "fuse", "rsync", pinnedBin)
	dir := shortDir(t)
	output(t, "CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "+dir+"/filter .")
	t.Chdir(dir)
	t.Setenv("PATH", dir+":"+filepath.Dir(pinnedBin)+":"+os.Getenv("PATH"))
	// The plain tree has names as people give them.
	for d := range benchDirs {
		path := fmt.Sprintf("plain/Projects %d/%04d Photos of the summer", d/100, d)
		check(t, os.MkdirAll(path, 0o755))
		for f := range benchFiles {
			check(t, os.WriteFile(fmt.Sprintf("%s/IMG_%04d at the sea.jpg", path, f), nil, 0o644))
		}
	}
	// Without -fg, gocryptfs has its own session, and so its own share of the cores on
	// Linux (sched_autogroup). With -fg, which the tests need, it would share that of
	// its clients.
	check(t, os.WriteFile("daemon", []byte("#!/bin/sh\nexec setsid "+pinnedBin+" \"$@\"\n"), 0o755))
	b := &bench{mount: mountReverse(t, server{"2.6.1", dir + "/daemon"}, "plain", "view")}
	output(t, "mkdir dst; ln -s '"+b.mount.Sock+"' ctl; rsync -ain view/ dst/ >log")
	b.paths = strings.Split(output(t, `cut -c 13- log | sed '/^\.\//d; s,/$,,; /\(^\|\/\)gocryptfs\./d' | tee paths`), "\n")
	if n := benchDirs * benchFiles; len(b.paths) < n {
		t.Fatalf("rsync has named %d paths, want more than %d", len(b.paths), n)
	}
	writeMillion(t)
	return b
}

// writeMillion writes an index of a million lines, and what its names are looked up for.
func writeMillion(t *testing.T) {
	t.Helper()
	plain := func(i int) string { return fmt.Sprintf("dir %d/IMG_%04d at the sea.jpg\n", i/1000, i%1000) }
	for name, text := range map[string]string{
		"million": each(1_000_000, func(i int) string { return fakeName(i/1000) + "/" + fakeName(i) + "\t" + plain(i) }),
		"one":     fakeName(0) + "\n",
		"lone":    each(100_000, func(i int) string { return fakeName(7919*i%1_000_000) + "\n" }),
		"back":    each(100_000, plain),
	} {
		check(t, os.WriteFile(name, []byte(text), 0o600))
	}
}

// output returns what a script prints, without the newline at its end.
func output(t *testing.T, script string) string {
	t.Helper()
	out, err := exec.Command("sh", "-ec", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// row adds a line to the table. must has a bound for each of values, such as "≥ 3, < 10 ms".
func (b *bench) row(figure, measured, must string, values ...float64) {
	note := ""
	for i, bound := range strings.Split(must, ", ") {
		var op string
		var limit float64
		if n, _ := fmt.Sscan(bound, &op, &limit); n < 2 {
			continue
		}
		order := cmp.Compare(values[i], limit)
		if order == 0 && op != "<" || order == map[string]int{"<": -1, "≤": -1, "≥": 1}[op] {
			note = cmp.Or(note, "yes")
		} else {
			note = "NO"
		}
	}
	fmt.Fprintf(b.table, "%s\t%s\t%s\t%s\n", figure, measured, must, note)
}

//go:embed testdata/bench.txt
var comparisons string

// comparison runs the contenders in a paragraph of comparisons, and adds its rows.
func (b *bench) comparison(t *testing.T, paragraph string) {
	t.Helper()
	var names, scripts []string
	var fastest map[string]time.Duration
	for line := range strings.Lines(paragraph) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), "\t")
		figure, isRow := strings.CutPrefix(name, "= ")
		switch {
		case strings.HasPrefix(line, "#"):
		case !isRow:
			names, scripts = append(names, name), append(scripts, rest)
		case fastest == nil:
			fastest = b.compare(t, names, scripts)
			fallthrough
		default:
			what, must, _ := strings.Cut(rest, "\t")
			over, under, _ := strings.Cut(what, " / ")
			one, other := fastest[over].Seconds(), fastest[under].Seconds()
			if under == "" {
				b.row(figure, fmt.Sprintf("%.0f names/s", float64(len(b.paths))/one), "")
			} else {
				b.row(figure, fmt.Sprintf("%.2f (%.3g s : %.3g s)", one/other, one, other), must, one/other)
			}
		}
	}
}

// compare runs all scripts in turns, the wire client if one is empty, and returns the shortest
// times that they take, by their names.
func (b *bench) compare(t *testing.T, names, scripts []string) map[string]time.Duration {
	t.Helper()
	fastest := map[string]time.Duration{}
	for range benchRounds {
		for i, name := range names {
			runtime.GC() // garbage of the last contender in this process
			time.Sleep(100 * time.Millisecond)
			start := time.Now()
			if scripts[i] == "" {
				b.wireClient(t)
			} else {
				output(t, scripts[i]+" >/dev/null")
			}
			if d := time.Since(start); fastest[name] == 0 || d < fastest[name] {
				fastest[name] = d
			}
		}
	}
	return fastest
}

// wireClient asks for every path over blocking sockets. It writes a window of requests
// before it reads the first answer, and ignores the answers. So it measures the limit.
// Windows of 16 to 128 were measured to be much the same.
func (b *bench) wireClient(t *testing.T) {
	var conns [64]int
	for i := range conns {
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		check(t, err)
		defer syscall.Close(fd)
		check(t, syscall.Connect(fd, &syscall.SockaddrUnix{Name: b.mount.Sock}))
		conns[i] = fd
	}
	buf := make([]byte, 16<<10)
	for some := range slices.Chunk(b.paths, len(conns)) {
		for i, path := range some {
			_, err := syscall.Write(conns[i], fmt.Appendf(nil, `{"DecryptPath":"%s"}`, path))
			check(t, err)
		}
		for i := range some {
			if n, err := syscall.Read(conns[i], buf); err != nil || n == 0 || buf[n-1] != '\n' {
				t.Fatalf("no answer: %q, %v", buf[:max(n, 0)], err)
			}
		}
	}
}

// passThrough compares the filter with sed for text without names. With -u, sed reads
// byte by byte, so it gets only a part of the text. Then it measures the start.
func (b *bench) passThrough(t *testing.T) {
	const share = 50
	whole := plainText(benchBytes)
	check(t, os.WriteFile("text", whole, 0o644))
	check(t, os.WriteFile("part", whole[:len(whole)/share], 0o644))
	m := b.compare(t, []string{"filter", "sed"}, []string{"exec filter ctl view <text", "exec sed -u s/a/b/ <part"})
	speed := func(n int, d time.Duration) float64 { return float64(n) / 1e6 / d.Seconds() }
	fast, slow := speed(len(whole), m["filter"]), speed(len(whole)/share, m["sed"])
	b.row("pass-through : sed -u s/a/b/", fmt.Sprintf("%.0f (%.0f MB/s : %.1f MB/s)", fast/slow, fast, slow), "≥ 3", fast/slow)
	records := bytes.Count(whole, []byte("\n")) + bytes.Count(whole, []byte("\r"))
	allocs := testing.AllocsPerRun(1, func() {
		if _, err := decode.Copy(io.Discard, bytes.NewReader(whole), decode.Options{}); err != nil {
			t.Error(err)
		}
	}) / float64(records)
	b.row("allocations a record of it", fmt.Sprintf("%.4f", allocs), "< 0.001", allocs)
}

// plainText returns n bytes of lines and progress updates, without a name.
func plainText(n int) []byte {
	var b []byte
	for i := 0; len(b) < n; i++ {
		progress := fmt.Sprintf("\r%15d %3d%%  %7.2fMB/s    0:00:%02d ", i<<15, i%101, float64(i%900)/9, i%60)
		b = fmt.Appendf(b, "docs/2026/report number %d.txt\n%s%[2]s(xfr#%[1]d, to-chk=%[3]d/%[4]d)\n", i, progress, i%300, i+300)
	}
	return b[:n]
}

// memory measures the peak use of memory as the system reports it.
func (b *bench) memory(t *testing.T) {
	b.memoryRow(t, "100 k lines", "< 32 MiB", writes(read(t, "log")), "ctl", "view")
	b.memoryRow(t, "10 M lines", "< 32 MiB", b.writeLines, "ctl", "view")
	b.memoryRow(t, "an index of a million lines", "≤ 40 MiB", writes(fakeName(0)+"\n"), "-map", "million")
	b.memoryRow(t, "a line of 200 MB", "< 32 MiB", func(w io.Writer) {
		part := strings.Repeat("plain words ", 1000) + b.paths[len(b.paths)-1] + " "
		for n := 0; n < benchBytes; n += len(part) {
			io.WriteString(w, part)
		}
	}, "ctl", "view")
}

// memoryRow adds a line with the peak use of memory.
func (b *bench) memoryRow(t *testing.T, what, must string, write func(io.Writer), args ...string) {
	t.Helper()
	peak, _ := b.peak(t, write, args...)
	b.row("memory at most, "+what, fmt.Sprintf("%.1f MiB", peak), must, peak)
}

// writes returns a function that writes a text.
func writes(text string) func(io.Writer) {
	return func(w io.Writer) { io.WriteString(w, text) }
}

// hostile takes the processor time and the memory for text, and trees, that are made to
// cost much.
func (b *bench) hostile(t *testing.T) {
	m := hostileTree(t)
	for _, h := range hostileTexts(t, m) {
		text := strings.Repeat(h.text, max(1, (1<<20)/len(h.text)))
		peak, used := b.peak(t, writes(text), m.Sock, m.Dir)
		cpu := used.Seconds() / (float64(len(text)) / 1e6)
		b.row("CPU a MB: "+h.name, fmt.Sprintf("%.2f s, %.1f MiB", cpu, peak), "≤ 1 s, < 32 MiB", cpu, peak)
	}
	long := "{\"Result\":\"" + strings.Repeat("x", 60_000) + "\",\"ErrNo\":0}\n"
	peer := ctlsocktest.Start(t, ctlsocktest.Path(t), ctlsocktest.Replies(func(string) string { return long }))
	b.memoryRow(t, "a peer with names of 60 kB", "< 32 MiB", writes(fakeTranscript(2000).input()), peer.Path, "dst")
}

// The tree behind hostile texts.
const (
	hostileLinks = 3000   // ten deep
	hostileFiles = 20_000 // whose names are not UTF-8, in each of two directories
	hugeFiles    = 60_000 // likewise, in each of four
)

// deep returns the plain path n directories deep.
func deep(n int) string { return strings.Repeat("/d", n)[1:] }

// nested are directories whose names are not UTF-8.
var nested = strings.Repeat("/\xe4dir", 6)[1:]

// hostileTree makes the tree and mounts it.
func hostileTree(t *testing.T) *mount {
	t.Helper()
	create(t, "hostile", deep(100)+"/link", "-> the target")
	for i := range hostileLinks {
		create(t, "hostile", fmt.Sprintf("%s/link %d", deep(10), i), "-> the target")
	}
	for dir, n := range map[string]int{"one": hostileFiles, "two": hostileFiles, nested: 3000,
		"huge 0": hugeFiles, "huge 1": hugeFiles, "huge 2": hugeFiles, "huge 3": hugeFiles} {
		for i := range n {
			create(t, "hostile", fmt.Sprintf("%s/bad \xff%d", dir, i), "file 1")
		}
	}
	return mountReverse(t, servers(t)[0], "hostile", "hostile view")
}

// each joins what f returns for 0 to n-1.
func each(n int, f func(i int) string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(f(i))
	}
	return b.String()
}

// inTurn returns lines with the cipher paths in directories of the view, from each of them
// in turn.
func inTurn(t *testing.T, m *mount, n int, dirs ...string) string {
	t.Helper()
	var lists [][]string
	for _, dir := range dirs {
		dir = m.cipherOf(t, dir)
		entries, err := os.ReadDir(filepath.Join(m.Dir, dir))
		check(t, err)
		var paths []string
		for _, e := range entries {
			if len(e.Name()) >= 22 {
				paths = append(paths, dir+"/"+e.Name()+"\n")
			}
		}
		lists = append(lists, paths)
	}
	return each(n*len(dirs), func(i int) string { return lists[i%len(dirs)][i/len(dirs)] })
}

// A hostileText is repeated to a megabyte.
type hostileText struct{ name, text string }

// hostileTexts returns texts about the tree. Those that need none are in decode/testdata/hostile.txt.
func hostileTexts(t *testing.T, m *mount) []hostileText {
	t.Helper()
	line := func(plain string) string {
		link := m.encrypt(t, plain)
		return "cL+++++++++ " + link + " -> " + m.target(t, link) + "\n"
	}
	link := m.encrypt(t, deep(100)+"/link")
	arrows := strings.Repeat(" -> "+strings.Repeat("A", 48), 30) + "\n"
	defer settle()
	return []hostileText{
		{"arrows after a link 100 deep", link + arrows},
		{"its target with suffixes", link + " -> " + strings.Repeat(m.target(t, link)+"-1 ", 30) + "\n"},
		{"3,000 links 10 deep", each(hostileLinks, func(i int) string { return line(fmt.Sprint(deep(10), "/link ", i)) })},
		{"names that are not UTF-8, in turn", inTurn(t, m, hostileFiles, "one", "two")},
		{"the same in four huge directories", inTurn(t, m, 6000, "huge 0", "huge 1", "huge 2", "huge 3")},
		{"below six of such directories", inTurn(t, m, 3000, nested)},
	}
}

// writeLines writes ten million lines, one in fifty of them with a name that is not in the cache.
func (b *bench) writeLines(w io.Writer) {
	out := bufio.NewWriterSize(w, 64<<10)
	plain := strings.SplitAfter(string(plainText(64<<10)), "\n")
	for i := range benchLines {
		if i%50 == 0 {
			fmt.Fprintf(out, ">f+++++++++ %s\n", b.paths[i/50%len(b.paths)])
		} else {
			out.WriteString(plain[i%(len(plain)-1)])
		}
	}
	out.Flush()
}

// peak returns the peak memory of the filter, in MiB, after it has read what write
// writes, and its processor time. (The system counts the memory of this process in what
// it says of a child that has ended.)
func (b *bench) peak(t *testing.T, write func(io.Writer), args ...string) (peak float64, cpu time.Duration) {
	t.Helper()
	cmd := exec.Command("filter", args...)
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err := cmd.StdoutPipe()
	check(t, err)
	cmd.Stderr = new(bytes.Buffer)
	check(t, cmd.Start())
	const end = "that is all\n"
	done := make(chan struct{})
	go func() {
		defer close(done)
		for r, last := bufio.NewReaderSize(out, 64<<10), ""; last != end; {
			line, err := r.ReadSlice('\n')
			if err != nil && err != bufio.ErrBufferFull {
				return
			}
			last = string(line)
		}
	}()
	write(in)
	io.WriteString(in, "\n"+end)
	<-done
	// The filter is still waiting for input, so that the file in /proc exists.
	status := read(t, fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: %v\n%s", cmd, err, cmd.Stderr)
	}
	_, high, _ := strings.Cut(status, "VmHWM:")
	if _, err := fmt.Sscan(high, &peak); err != nil {
		t.Fatalf("no VmHWM in %q", status)
	}
	return peak / 1024, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}
