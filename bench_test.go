package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
	"gocryptfs-rsync-pretty/decode"
)

// Whole runs of the program, made by `make bench`. All contenders take turns in the
// same rounds, and medians are compared, so that other work of the machine affects
// all of them. The filter is the built program, in a new process each time.

const (
	benchRounds = 5
	benchDirs   = 2000
	benchFiles  = 50 // in each of them
	benchBytes  = 200 << 20
	benchLines  = 10_000_000
)

// A bench is what is measured on: a mounted file system and what rsync prints of it.
type bench struct {
	mount *mount
	bin   string // the built program
	dir   string // for files and for the destination of rsync
	index string // a file with all names
	log   string // file with the captured output of rsync -ain
	paths []string
	table *tabwriter.Writer
}

func TestBench(t *testing.T) {
	b := newBench(t)
	fmt.Printf("%d names, medians of %d rounds, %s, %d CPUs: %s\n\n",
		len(b.paths), benchRounds, runtime.Version(), runtime.NumCPU(), cpuModel())
	b.table = tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	defer b.table.Flush()
	b.row("figure", "measured", "must reach", "")
	b.names(t)
	b.rsync(t)
	b.passThrough(t)
	b.latency(t)
	b.start(t)
	b.memory(t)
	b.million(t)
	b.hostile(t)
}

// newBench skips the test unless GRP_BENCH is set, because it takes minutes.
func newBench(t *testing.T) *bench {
	t.Helper()
	if os.Getenv("GRP_BENCH") == "" {
		t.Skip("run by make bench")
	}
	need(t, "fuse", "rsync", pinnedBin)
	b := &bench{dir: shortDir(t)}
	b.build(t)
	b.mountTree(t)
	b.capture(t)
	return b
}

// build builds the program as make does.
func (b *bench) build(t *testing.T) {
	t.Helper()
	b.bin = filepath.Join(b.dir, program)
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", b.bin, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// mountTree makes the plain tree, with names as people give them, and mounts it.
func (b *bench) mountTree(t *testing.T) {
	t.Helper()
	check(t, os.Mkdir(filepath.Join(b.dir, "dst"), 0o755))
	plain := filepath.Join(b.dir, "plain")
	for d := range benchDirs {
		dir := filepath.Join(plain, fmt.Sprintf("Projects %d", d/100), fmt.Sprintf("%04d Photos of the summer", d))
		check(t, os.MkdirAll(dir, 0o755))
		for f := range benchFiles {
			check(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("IMG_%04d at the sea.jpg", f)), nil, 0o644))
		}
	}
	// Without -fg, gocryptfs has its own session, and so its own share of the cores on
	// Linux (sched_autogroup). With -fg, which the tests need, it would share that of
	// its clients.
	daemon := filepath.Join(b.dir, "gocryptfs")
	script := fmt.Sprintf("#!/bin/sh\nexec setsid %s \"$@\"\n", pinnedBin)
	check(t, os.WriteFile(daemon, []byte(script), 0o755))
	b.mount = mountReverse(t, server{"2.6.1", daemon}, plain, filepath.Join(b.dir, "view"))
}

// rsyncCommand lists every file as new.
func (b *bench) rsyncCommand() string {
	return fmt.Sprintf("rsync -ain %s/ %s/dst/", b.mount.Dir, b.dir)
}

// capture stores what rsync prints, and the paths in it.
func (b *bench) capture(t *testing.T) {
	t.Helper()
	out, err := exec.Command("sh", "-c", b.rsyncCommand()).Output()
	check(t, err)
	b.log = filepath.Join(b.dir, "log")
	check(t, os.WriteFile(b.log, out, 0o644))
	for line := range strings.Lines(string(out)) {
		path := strings.TrimSuffix(strings.TrimSpace(line[min(len(line), 12):]), "/")
		if base := filepath.Base(path); path != "" && path != "." && !strings.HasPrefix(base, "gocryptfs.") {
			b.paths = append(b.paths, path)
		}
	}
	if n := benchDirs * benchFiles; len(b.paths) < n {
		t.Fatalf("rsync has named %d paths, want more than %d", len(b.paths), n)
	}
}

// row adds a line to the table.
func (b *bench) row(figure, measured, must string, ok any) {
	note := fmt.Sprint(ok)
	switch ok {
	case true:
		note = "yes"
	case false:
		note = "NO"
	}
	fmt.Fprintf(b.table, "%s\t%s\t%s\t%s\n", figure, measured, must, note)
}

// A cost is what one run takes.
type cost struct{ wall, cpu time.Duration }

// A contender is a way to do the work.
type contender struct {
	name string
	run  func(t *testing.T) cost
}

// compare runs all contenders in turns, and returns the medians of their costs.
func compare(t *testing.T, contenders []contender) map[string]cost {
	t.Helper()
	all := map[string][]cost{}
	for range benchRounds {
		for _, c := range contenders {
			runtime.GC() // garbage of the last contender in this process
			time.Sleep(100 * time.Millisecond)
			all[c.name] = append(all[c.name], c.run(t))
		}
	}
	medians := map[string]cost{}
	for name, costs := range all {
		medians[name] = cost{
			wall: quantile(costs, 0.5, func(c cost) time.Duration { return c.wall }),
			cpu:  quantile(costs, 0.5, func(c cost) time.Duration { return c.cpu }),
		}
	}
	return medians
}

func quantile[T any](list []T, q float64, f func(T) time.Duration) time.Duration {
	var ds []time.Duration
	for _, one := range list {
		ds = append(ds, f(one))
	}
	slices.Sort(ds)
	return ds[int(q*float64(len(ds)-1))]
}

// command runs a program with a file as its input, and discards its output.
func command(t *testing.T, input, name string, args ...string) cost {
	t.Helper()
	in, err := os.Open(input)
	check(t, err)
	defer in.Close()
	cmd := exec.Command(name, args...)
	cmd.Stdin, cmd.Stderr = in, os.Stderr
	start := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return cost{time.Since(start), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
}

// names compares the replay of the log with clients that have no text around the
// names. The faster of the wire clients is the limit.
func (b *bench) names(t *testing.T) {
	paths := filepath.Join(b.dir, "paths")
	check(t, os.WriteFile(paths, []byte(text(b.paths)), 0o644))
	const filter, indexed, xray = "filter", "index", "xray"
	b.index = filepath.Join(b.dir, "index")
	command(t, b.log, b.bin, "-map", b.index, b.mount.Sock, b.mount.Dir)
	const one, two = "wire client, 1 thread", "wire client, 2 threads"
	m := compare(t, []contender{
		{filter, func(t *testing.T) cost { return command(t, b.log, b.bin, b.mount.Sock, b.mount.Dir) }},
		{one, func(t *testing.T) cost { return b.wireClient(t, 1) }},
		{two, func(t *testing.T) cost { return b.wireClient(t, 2) }},
		{indexed, func(t *testing.T) cost { return command(t, b.log, b.bin, "-map", b.index, b.mount.Sock, b.mount.Dir) }},
		{xray, func(t *testing.T) cost {
			return command(t, paths, ".tools/gocryptfs-xray", "-decrypt-paths", b.mount.Sock)
		}},
	})
	wire := one
	if m[two].wall < m[one].wall {
		wire = two
	}
	speed := func(name string) string {
		return fmt.Sprintf("%.0f names/s", float64(len(b.paths))/m[name].wall.Seconds())
	}
	b.row("gocryptfs-xray -decrypt-paths", speed(xray), "", "")
	b.row("replay of the log", speed(filter), "", "")
	b.row(wire, speed(wire), "", "")
	b.row("replay with a full index", speed(indexed), "", "")
	ratio := m[wire].wall.Seconds() / m[filter].wall.Seconds()
	b.row("replay : wire client", fmt.Sprintf("%.2f", ratio), "≥ 0.70", ratio >= 0.70)
	ratio = m[wire].wall.Seconds() / m[indexed].wall.Seconds()
	b.row("replay with a full index : wire client", fmt.Sprintf("%.2f", ratio), "≥ 3", ratio >= 3)
	ratio = m[xray].wall.Seconds() / m[filter].wall.Seconds()
	b.row("replay : gocryptfs-xray", fmt.Sprintf("%.2f", ratio), "≥ 2", ratio >= 2)
	b.row("CPU of the filter per 100 k names", fmt.Sprintf("%.2f s", m[filter].cpu.Seconds()*1e5/float64(len(b.paths))), "", "")
}

// wireClient asks for every path over blocking sockets. Each thread writes a window of
// prepared requests before it reads the first answer, and ignores the answers. So it
// measures the limit. Windows of 16 to 128 were measured to be much the same.
func (b *bench) wireClient(t *testing.T, threads int) cost {
	t.Helper()
	const window = 64
	var requests [][]byte
	for _, path := range b.paths {
		requests = append(requests, fmt.Appendf(nil, `{"DecryptPath":"%s"}`, path))
	}
	start := time.Now()
	var group sync.WaitGroup
	for part := range slices.Chunk(requests, (len(requests)+threads-1)/threads) {
		group.Go(func() {
			var conns []int
			for range window {
				fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
				if err == nil {
					defer syscall.Close(fd)
					err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: b.mount.Sock})
				}
				if err != nil {
					t.Error(err)
					return
				}
				conns = append(conns, fd)
			}
			buf := make([]byte, 16<<10)
			for some := range slices.Chunk(part, window) {
				for i, request := range some {
					if _, err := syscall.Write(conns[i], request); err != nil {
						t.Error(err)
						return
					}
				}
				for i := range some {
					if n, err := syscall.Read(conns[i], buf); err != nil || buf[max(n, 1)-1] != '\n' {
						t.Errorf("answer %q, %v", buf[:max(n, 0)], err)
						return
					}
				}
			}
		})
	}
	group.Wait()
	return cost{wall: time.Since(start)}
}

// rsync compares rsync with and without the filter after it.
func (b *bench) rsync(t *testing.T) {
	const alone, filtered, indexed = "alone", "filtered", "indexed"
	run := func(sh string) func(*testing.T) cost {
		return func(t *testing.T) cost { return command(t, os.DevNull, "sh", "-c", sh+" >/dev/null") }
	}
	m := compare(t, []contender{
		{alone, run(b.rsyncCommand())},
		{filtered, run(fmt.Sprintf("%s | %s %s %s", b.rsyncCommand(), b.bin, b.mount.Sock, b.mount.Dir))},
		{indexed, run(fmt.Sprintf("%s | %s -map %s %s %s", b.rsyncCommand(), b.bin, b.index, b.mount.Sock, b.mount.Dir))},
	})
	ratio := m[filtered].wall.Seconds() / m[alone].wall.Seconds()
	b.row("rsync -ain | filter : rsync -ain", fmt.Sprintf("%.2f (%.2f s : %.2f s)", ratio,
		m[filtered].wall.Seconds(), m[alone].wall.Seconds()), "≤ 1.5", ratio <= 1.5)
	ratio = m[indexed].wall.Seconds() / m[alone].wall.Seconds()
	b.row("rsync -ain | filter -map : rsync -ain", fmt.Sprintf("%.2f", ratio), "≤ 1.12", ratio <= 1.12)
}

// passThrough compares the filter with sed for text without names. With -u, sed reads
// byte by byte, so it gets only a part of the text.
func (b *bench) passThrough(t *testing.T) {
	const filter, sed, share = "filter", "sed", 50
	whole := plainText(benchBytes)
	write := func(name string, text []byte) string {
		file := filepath.Join(b.dir, name)
		check(t, os.WriteFile(file, text, 0o644))
		return file
	}
	all, part := write("plain-text", whole), write("part", whole[:len(whole)/share])
	m := compare(t, []contender{
		{filter, func(t *testing.T) cost { return command(t, all, b.bin, b.mount.Sock, b.mount.Dir) }},
		{sed, func(t *testing.T) cost { return command(t, part, "sed", "-u", "s/a/b/") }},
	})
	speed := func(n int, c cost) float64 { return float64(n) / 1e6 / c.wall.Seconds() }
	fast, slow := speed(len(whole), m[filter]), speed(len(whole)/share, m[sed])
	b.row("pass-through : sed -u s/a/b/", fmt.Sprintf("%.0f (%.0f MB/s : %.1f MB/s)", fast/slow, fast, slow), "≥ 3", fast >= 3*slow)
	allocs := allocations(t, whole)
	b.row("allocations a record of it", fmt.Sprintf("%.4f", allocs), "0", allocs < 0.001)
}

// allocations returns the number of allocations for one record of text that passes
// through.
func allocations(t *testing.T, text []byte) float64 {
	t.Helper()
	records := bytes.Count(text, []byte("\n")) + bytes.Count(text, []byte("\r"))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := decode.Copy(io.Discard, bytes.NewReader(text), decode.Options{}); err != nil {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / float64(records)
}

// plainText returns n bytes of lines and progress updates, without a name.
func plainText(n int) []byte {
	var b []byte
	for i := 0; len(b) < n; i++ {
		b = fmt.Appendf(b, "docs/2026/report number %d.txt\n\r%15d %3d%%  %7.2fMB/s    0:00:%02d ", i, i<<15, i%101, float64(i%900)/9, i%60)
		b = fmt.Appendf(b, "\r%15d 100%%  %7.2fMB/s    0:00:%02d (xfr#%d, to-chk=%d/%d)\n", i<<16, float64(i%800)/8, i%60, i, i%300, i+300)
	}
	return b[:n]
}

// latency measures the time from writing one line with an unknown name to reading it
// decoded, on an idle system. With cat it measures the pipes.
func (b *bench) latency(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	order := rnd.Perm(len(b.paths))[:2000]
	pipes := b.echoTimes(t, order, "cat")
	times := b.echoTimes(t, order, b.bin, b.mount.Sock, b.mount.Dir)
	self := func(d time.Duration) time.Duration { return d }
	for _, q := range []struct {
		q    float64
		must time.Duration
	}{{0.5, 300 * time.Microsecond}, {0.99, time.Millisecond}} {
		got, cat := quantile(times, q.q, self), quantile(pipes, q.q, self)
		added := got - cat
		b.row(fmt.Sprintf("added latency of a line, p%.0f", q.q*100),
			fmt.Sprintf("%v (%v, cat: %v)", added.Round(time.Microsecond), got.Round(time.Microsecond), cat.Round(time.Microsecond)),
			fmt.Sprintf("< %v", q.must), added < q.must)
	}
}

// echoTimes sends paths one by one, with pauses, and waits for each to come back.
func (b *bench) echoTimes(t *testing.T, order []int, name string, args ...string) (times []time.Duration) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stderr = os.Stderr
	in, out := pipes(t, cmd)
	r := bufio.NewReader(out)
	pause := time.NewTicker(3 * time.Millisecond)
	defer pause.Stop()
	for _, i := range order {
		line := ">f+++++++++ " + b.paths[i] + "\n"
		start := time.Now()
		io.WriteString(in, line)
		got, err := r.ReadString('\n')
		times = append(times, time.Since(start))
		if err != nil || name == b.bin && !strings.HasPrefix(got, ">f+++++++++ Projects ") {
			t.Fatalf("%q came back as %q, %v", line, got, err)
		}
		<-pause.C
	}
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	return times
}

// pipes starts a command, and returns its input and its output.
func pipes(t *testing.T, cmd *exec.Cmd) (in io.WriteCloser, out io.Reader) {
	t.Helper()
	in, err := cmd.StdinPipe()
	check(t, err)
	out, err = cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	return in, out
}

// start measures the time of a run without any input.
func (b *bench) start(t *testing.T) {
	var times []time.Duration
	for range 10 * benchRounds {
		times = append(times, command(t, os.DevNull, b.bin, b.mount.Sock, b.mount.Dir).wall)
	}
	median := quantile(times, 0.5, func(d time.Duration) time.Duration { return d })
	b.row("start to end, empty input", fmt.Sprintf("%.1f ms", float64(median.Microseconds())/1e3), "< 10 ms", median < 10*time.Millisecond)
}

// memory measures the peak use of memory as the system reports it.
func (b *bench) memory(t *testing.T) {
	const must = 32 << 10
	for _, tt := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{"100 k lines", func(w io.Writer) error {
			log, err := os.ReadFile(b.log)
			if err == nil {
				_, err = w.Write(log)
			}
			return err
		}},
		{"10 M lines", func(w io.Writer) error { return b.writeLines(w, benchLines) }},
		{"a line of 200 MB", func(w io.Writer) error {
			part := []byte(strings.Repeat("plain words ", 1000) + b.paths[len(b.paths)-1] + " ")
			for n := 0; n < benchBytes; n += len(part) {
				if _, err := w.Write(part); err != nil {
					return err
				}
			}
			return nil
		}},
	} {
		peak, _ := b.peak(t, tt.write, b.mount.Sock, b.mount.Dir)
		b.row("memory at most, "+tt.name, fmt.Sprintf("%.1f MiB", float64(peak)/1024), "< 32 MiB", peak < must)
	}
}

// million measures a text of one line, a log of lone names, and the way back, with an
// index of a million lines.
func (b *bench) million(t *testing.T) {
	var index, one, alone, plain bytes.Buffer
	for i := range 100_000 {
		fmt.Fprintln(&alone, fakeName(7919*i%1_000_000))
		fmt.Fprintf(&plain, "dir %d/IMG_%04d at the sea.jpg\n", i/1000, i%1000)
	}
	for i := range 1_000_000 {
		fmt.Fprintf(&index, "%s/%s\tdir %d/IMG_%04d at the sea.jpg\n", fakeName(i/1000), fakeName(i), i/1000, i%1000)
	}
	fmt.Fprintln(&one, fakeName(0))
	file, log := filepath.Join(b.dir, "million"), filepath.Join(b.dir, "one")
	names, paths := filepath.Join(b.dir, "alone"), filepath.Join(b.dir, "plain paths")
	for name, text := range map[string][]byte{file: index.Bytes(), log: one.Bytes(), names: alone.Bytes(), paths: plain.Bytes()} {
		check(t, os.WriteFile(name, text, 0o600))
	}
	m := compare(t, []contender{
		{"load", func(t *testing.T) cost { return command(t, log, b.bin, "-map", file) }},
		{"alone", func(t *testing.T) cost { return command(t, names, b.bin, "-map", file) }},
		{"back", func(t *testing.T) cost { return command(t, paths, b.bin, "-encrypt-paths", "-map", file) }},
		{"ask", func(t *testing.T) cost { return command(t, paths, b.bin, "-encrypt-paths", b.mount.Sock, b.mount.Dir) }},
	})
	load, lone, back, ask := m["load"].wall, m["alone"].wall, m["back"].wall, m["ask"].wall
	b.row("loading an index of a million lines", fmt.Sprintf("%.2f s", load.Seconds()), "< 1 s", load < time.Second)
	b.row("100,000 lone names with it", fmt.Sprintf("%.2f s", lone.Seconds()), "< 2 s", lone < 2*time.Second)
	b.row("-encrypt-paths of 100,000 paths from it", fmt.Sprintf("%.2f s", back.Seconds()), "< 3 s", back < 3*time.Second)
	b.row("-encrypt-paths of 100,000 paths from gocryptfs", fmt.Sprintf("%.2f s", ask.Seconds()), "", "")
	peak, _ := b.peak(t, func(w io.Writer) error { _, err := w.Write(one.Bytes()); return err }, "-map", file)
	b.row("memory at most, with it", fmt.Sprintf("%.1f MiB", float64(peak)/1024), "≤ 40 MiB", peak <= 40<<10)
}

// hostile takes the processor time and the memory for text, and trees, that are made to
// cost much.
func (b *bench) hostile(t *testing.T) {
	const depth, many, huge, links = 100, 20_000, 60_000, 3000
	plain := filepath.Join(b.dir, "hostile")
	deep := strings.TrimSuffix(strings.Repeat("d/", depth), "/")
	nested := strings.Repeat("\xe4dir/", 6)
	files := func(form string, n int) {
		for i := range n {
			create(t, plain, fmt.Sprintf(form, i), "file 1")
		}
	}
	create(t, plain, deep+"/link", "-> the target")
	for i := range links {
		create(t, plain, fmt.Sprintf("%s/link %d", deep[:2*10-1], i), "-> the target")
	}
	for _, dir := range []string{"one", "two"} {
		files(dir+"/bad \xff%d", many)
	}
	files(nested+"bad \xff%d", 3000)
	for i := range 4 {
		files(fmt.Sprintf("huge %d/bad \xff%%d", i), huge)
	}
	m := mountReverse(t, servers(t)[0], plain, filepath.Join(b.dir, "hostile view"))
	// list returns the cipher paths in a directory.
	list := func(dir string) (paths []string) {
		entries, err := os.ReadDir(filepath.Join(m.Dir, dir))
		check(t, err)
		for _, e := range entries {
			if len(e.Name()) >= 22 {
				paths = append(paths, dir+"/"+e.Name())
			}
		}
		return paths
	}
	inTurn := func(lists ...[]string) string {
		var text strings.Builder
		for i := range lists[0] {
			for _, l := range lists {
				fmt.Fprintln(&text, l[i])
			}
		}
		return text.String()
	}
	junk := func(n int) string { return strings.TrimSuffix(strings.Repeat(fakeName(1)+"/", n), "/") }
	path, link := m.encrypt(t, deep), m.encrypt(t, deep+"/link")
	target := m.target(t, link)
	twenty := filepath.Join(m.Dir, m.encrypt(t, deep[:2*20-1]))
	var honest strings.Builder
	for i := range links {
		l := m.encrypt(t, fmt.Sprintf("%s/link %d", deep[:2*10-1], i))
		fmt.Fprintf(&honest, "cL+++++++++ %s -> %s\n", l, m.target(t, l))
	}
	foreign := strings.Repeat(fakeName(1)+"-"+fakeName(2)[:19]+"A=/", 7) + m.encrypt(t, "d") + "\n"
	var hugeDirs [][]string
	for i := range 4 {
		hugeDirs = append(hugeDirs, list(m.encrypt(t, fmt.Sprint("huge ", i)))[:6000])
	}
	bad := m.cipherOf(t, strings.TrimSuffix(nested, "/"))
	settle()
	at := func(dir string, flags ...string) []string { return append(flags, m.Sock, dir) }
	inside := func(n int) []string { return at(filepath.Join(m.Dir, m.encrypt(t, deep[:2*n-1]))) }
	words, alike := wordLines(20_000), mountReverse(t, servers(t)[0],
		filepath.Join(b.dir, "alike"), filepath.Join(b.dir, "alike view"), "-deterministic-names")
	var same strings.Builder
	for i := range many {
		fmt.Fprintln(&same, alike.encrypt(t, fmt.Sprint("file ", i)))
	}
	create(t, alike.Plain, "d", "dir")
	var glued, joined strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&glued, "%s%s ", []string{`\n`, "x-", `\u001b[32m`, "%0A", "=3D"}[i%5], fakeName(i))
		fmt.Fprintf(&joined, "%s%c", fakeName(i), "_-_-_-_-_ "[i%10])
	}
	odd := filepath.Join(b.dir, "odd index") // eight long lines for one path, full of escapes, and others like them
	dirs, escapes := strings.Repeat(fakeName(1)+"/", 110), strings.Repeat(strings.Repeat(`\#012`, 45)+"/", 110)
	var lines strings.Builder
	for i := range 8 {
		fmt.Fprintf(&lines, "%s%s\t%s%s\n%s%s\t%sgood\n", dirs, fakeName(2), escapes, strings.Repeat("x", 300), dirs, fakeName(10+i), escapes)
	}
	if err := os.WriteFile(odd, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	const size = 1 << 20
	for _, tt := range []struct {
		name string
		args []string
		text string
	}{
		{"a path 100 deep and junk", at(m.Dir), path + "/" + junk(1) + "\n"},
		{"30 arrows after it", at(m.Dir), path + strings.Repeat(" -> "+strings.Repeat("A", 48), 30) + "\n"},
		{"arrows after a link 100 deep", at(m.Dir), link + strings.Repeat(" -> "+strings.Repeat("A", 48), 30) + "\n"},
		{"its target with suffixes", at(m.Dir), link + " -> " + strings.Repeat(target+"-1 ", 30) + "\n"},
		{"3,000 links 10 deep", at(m.Dir), honest.String()},
		{"4 KB of names, MOUNT 20 deep", at(twenty), junk(178) + "\n"},
		{"8 KB of names", at(m.Dir), junk(356) + "\n"},
		{"foreign names, MOUNT 20 deep", at(twenty), foreign},
		{"suffixes below a directory", at(m.Dir), path + ": " + strings.Repeat(fakeName(1)+"-", 11) + "\n"},
		{"words after escapes and prefixes", at(m.Dir), glued.String()},
		{"joined words", at(m.Dir), joined.String()},
		{"words below a header", at(m.Dir), path + ":\n" + strings.Repeat(fakeName(1)+" ", 50) + "\n"},
		{"names that are not UTF-8, in turn", at(m.Dir), inTurn(list(m.encrypt(t, "one")), list(m.encrypt(t, "two")))},
		{"the same in four huge directories", at(m.Dir), inTurn(hugeDirs...)},
		{"below six of such directories", at(m.Dir), inTurn(list(bad))},
		{"empty lines in color", at(m.Dir, "-color=always"), "\n"},
		{"figures in a line", at(m.Dir, "-hide-meta", "-color=always"), "1 1% 1:1:1 "},
		{"lists that are not hidden", at(m.Dir, "-hide-meta", "-v"), "-rw-r--r-- " + strings.Repeat("00:00 ", 1000) + "gocryptfs.conf x\n"},
		{"words, with an odd index", []string{"-map", odd}, strings.Repeat(fakeName(1)+" "+fakeName(2)+" "+fakeName(1)+"/"+fakeName(2)+"\n", 10)},
		{"words, MOUNT 1 deep", inside(1), words},
		{"words, MOUNT 10 deep", inside(10), words},
		{"words, MOUNT 40 deep", inside(40), words},
		{"names alike everywhere, MOUNT inside", []string{alike.Sock, filepath.Join(alike.Dir, alike.encrypt(t, "d"))}, same.String()},
	} {
		text := strings.Repeat(tt.text, max(1, size/len(tt.text)))
		write := func(w io.Writer) error { _, err := io.WriteString(w, text); return err }
		peak, used := b.peak(t, write, tt.args...)
		cpu := used.Seconds() / (float64(len(text)) / 1e6)
		b.row("CPU a MB: "+tt.name, fmt.Sprintf("%.2f s, %.1f MiB", cpu, float64(peak)/1024),
			"≤ 1 s, < 32 MiB", cpu <= 1 && peak < 32<<10)
	}
	long := "{\"Result\":\"" + strings.Repeat("x", 60_000) + "\",\"ErrNo\":0}\n"
	peer := ctlsocktest.Start(t, ctlsocktest.Path(t), ctlsocktest.Replies(func(string) string { return long }))
	write := func(w io.Writer) error { _, err := io.WriteString(w, fakeTranscript(2000).input()); return err }
	peak, _ := b.peak(t, write, peer.Path, b.dir)
	b.row("memory at most, a peer with names of 60 kB", fmt.Sprintf("%.1f MiB", float64(peak)/1024), "< 32 MiB", peak < 32<<10)
}

// writeLines writes n lines, one in fifty of them with a name that is not in the cache.
func (b *bench) writeLines(w io.Writer, n int) error {
	out := bufio.NewWriterSize(w, 64<<10)
	plain := strings.SplitAfter(string(plainText(64<<10)), "\n")
	for i := range n {
		if i%50 == 0 {
			fmt.Fprintf(out, ">f+++++++++ %s\n", b.paths[i/50%len(b.paths)])
		} else {
			out.WriteString(plain[i%(len(plain)-1)])
		}
	}
	return out.Flush()
}

// peak returns the peak memory of the filter, in KiB, after it has read what write
// writes, and its processor time. (The system counts the memory of this process in what
// it says of a child that has ended.)
func (b *bench) peak(t *testing.T, write func(io.Writer) error, args ...string) (peak int, cpu time.Duration) {
	t.Helper()
	cmd := exec.Command(b.bin, args...)
	cmd.Stderr = os.Stderr
	in, out := pipes(t, cmd)
	const end = "\nthat is all\n"
	done := make(chan struct{})
	go func() {
		defer close(done)
		skipTo(out, []byte(end))
	}()
	check(t, write(in))
	io.WriteString(in, end)
	<-done
	// The filter is still waiting for input, so that the file in /proc exists.
	status := read(t, fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindStringSubmatch(status)
	if m == nil {
		t.Fatalf("no VmHWM in %q", status)
	}
	peak, _ = strconv.Atoi(m[1])
	return peak, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// skipTo reads until what has been read ends with end.
func skipTo(r io.Reader, end []byte) {
	buf := make([]byte, 64<<10)
	var last []byte
	for {
		n, err := r.Read(buf)
		last = append(last, buf[:n]...)
		last = last[max(0, len(last)-len(end)):]
		if err != nil || bytes.Equal(last, end) {
			return
		}
	}
}

// cpuModel returns the name of the processor, if the system reports it.
func cpuModel() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	m := regexp.MustCompile(`model name\s*: (.*)`).FindSubmatch(info)
	if m == nil {
		return runtime.GOARCH
	}
	return string(m[1])
}
