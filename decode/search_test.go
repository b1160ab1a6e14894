package decode

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestBenchSearch looks for texts that cost much, for a minute: it changes those in
// testdata/hostile.txt, and what then costs more is changed on.
func TestBenchSearch(t *testing.T) {
	if os.Getenv("GRP_BENCH") == "" {
		t.Skip("run by make bench")
	}
	cost := func(g grammar) float64 {
		cpu, price := g.cost()
		return cpu + price
	}
	var words grammar
	var pool []grammar
	var costs []float64
	for _, g := range hostile() {
		pool, costs, words = append(pool, g), append(costs, cost(g)), append(words, g...)
	}
	rnd, tried := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0)), len(pool)
	for end := time.Now().Add(time.Minute); time.Now().Before(end); tried++ {
		i := rnd.IntN(len(pool))
		if other := rnd.IntN(len(pool)); costs[other] > costs[i] {
			i = other
		}
		g := pool[i].changed(rnd, words)
		if c := cost(g); c > costs[i] {
			if c = min(c, cost(g)); c > costs[i] { // not because of other work of the machine
				pool[i], costs[i] = g, c
			}
		}
	}
	names, asked := grammar{`"AAAAAAAAAAAAAAAAA@@@@A\n"`}.cost()
	bound := max(1, 10*names)
	fmt.Printf("%d texts, in seconds of CPU and of questions a MB; names at random take %.2f and %.2f.\n", tried, names, asked)
	fmt.Printf("The most that others take (must reach ≤ %.1f and ≤ %.1f):\n", bound, 3*asked)
	for range 5 {
		worst := slices.Index(costs, slices.Max(costs))
		cpu, price := pool[worst].cost()
		fmt.Printf("%.2f and %.2f: %s\n", cpu, price, strings.Join(pool[worst], " "))
		if cpu > bound || price > 3*asked {
			t.Error("that is too much")
		}
		costs[worst] = 0
	}
}

// A grammar makes a text: see testdata/hostile.txt.
type grammar []string

// hostile returns the grammars in testdata/hostile.txt.
func hostile() (all []grammar) {
	file, err := os.ReadFile("testdata/hostile.txt")
	if err != nil {
		panic(err)
	}
	for line := range strings.Lines(string(file)) {
		if g := grammar(words.FindAllString(line, -1)); len(g) > 0 && line[0] != '#' {
			all = append(all, g)
		}
	}
	return all
}

var known = strings.NewReplacer("/Known", "/plain", "/Doubt", "/plai\ufffd")

// knownNames is the server for such a text.
func knownNames(cipher string) (plain string, ok bool) {
	plain = known.Replace("/" + cipher)
	if strings.Count(plain, "/") != strings.Count(plain, "/plai") {
		return "", false
	}
	return plain[1:], true
}

// changed returns a grammar with a few changes. What it adds comes from words.
func (g grammar) changed(rnd *rand.Rand, words grammar) grammar {
	g = slices.Clone(g)
	for range 1 + rnd.IntN(4) {
		i, other := rnd.IntN(len(g)), words[rnd.IntN(len(words))]
		added, _ := part(other)
		text, times := part(g[i])
		switch change := rnd.IntN(8); {
		case change == 0:
			g[i] = other
			continue
		case change == 1 && len(g) > 1:
			g = slices.Delete(g, i, i+1)
			continue
		case change <= 2 || times == 0:
			g = slices.Insert(g, i, other)
			continue
		case change == 3:
			text = text[:rnd.IntN(len(text)+1)]
		case change == 4:
			text += added
		case change == 5:
			text = strings.Repeat(added, 512)[:min(512*len(added), 1+rnd.IntN(512))]
		case change == 6:
			times = 1 + rnd.IntN(2*times)
		default:
			times = 1 + rnd.IntN(300)
		}
		g[i] = fmt.Sprintf("%+q*%d", text, times)
	}
	return g
}

// cost returns the processor time that the text takes, without the server's, and the price of the
// questions about it, both in seconds a MB. An answer is remembered; a question takes
// 8 µs, as in replays.
func (g grammar) cost() (cpu, price float64) {
	text, cuts, o := g.make()
	asked, served := paths{}, time.Duration(0)
	o.Names = namesFunc(func(cipher string) (string, bool) {
		plain, known := asked[cipher]
		if !known {
			start := cpuTime()
			plain, _ = knownNames(cipher)
			asked[cipher], served = plain, served+cpuTime()-start
		}
		return plain, plain != ""
	})
	before, mb := cpuTime(), float64(len(text))/1e6
	Copy(io.Discard, &cutReader{data: text, cuts: cuts}, o)
	return (cpuTime() - before - served).Seconds() / mb, 8e-6 * float64(len(asked)) / mb
}

// cpuTime returns the CPU time of this process.
func cpuTime() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// make returns the text, how it is cut, and what it is decoded with.
func (g grammar) make() (text, cuts []byte, o Options) {
	const size = 200_000
	v, again := stubView{view: View{Plain: "/plain", Reverse: true}, exists: paths{}.has, listed: 100}, ""
	for _, word := range g {
		switch word {
		case "color":
			o.Color = true
		case "hide":
			o.HideMeta = true
		case "count":
			o.Report = true
		case "deep":
			v.view.Sub = strings.Repeat("/KnownAAAAAAAAAAAAAAAAA", 100)[1:]
		case "blank":
			o.Mount = "/my view"
		case "small":
			cuts = []byte{255}
		case "once":
			text, again = append(text, again...), ""
		default:
			s, times := part(word)
			again += strings.Repeat(s, min(times, size/(len(s)+1)+1))
		}
	}
	o.Files, o.Mount = &v, "/mnt/view/"+v.view.Sub+o.Mount
	for i := 0; len(text) < size; i++ {
		text = append(text, strings.ReplaceAll(again, "@@@@", strconv.Itoa(1000+i%9000))...)
		text = append(text, "\n"[min(1, len(again)):]...)
	}
	return text, cuts, o
}
