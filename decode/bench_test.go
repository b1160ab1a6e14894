package decode

import (
	"bytes"
	"fmt"
	"gocryptfs-rsync-pretty/decode/scan"
	"io"
	"strings"
	"testing"
)

// plainRecords returns about n bytes of lines and progress, without a name.
func plainRecords(n int) []byte {
	var b []byte
	for i := 0; len(b) < n; i++ {
		b = fmt.Appendf(b, "docs/2026/report number %d.txt\n\r%15d %3d%%  %7.2fMB/s    0:00:%02d ", i, i<<15, i%101, float64(i%900)/9, i%60)
		b = fmt.Appendf(b, "\r%15d 100%%  %7.2fMB/s    0:00:%02d (xfr#%d, to-chk=%d/%d)\n", i<<16, float64(i%800)/8, i%60, i, i%300, i+300)
	}
	return b
}

// encryptedRecords returns about n bytes of lines as rsync -i prints them.
func encryptedRecords(n int) []byte {
	var b []byte
	for i := 0; len(b) < n; i++ {
		b = fmt.Appendf(b, ">f+++++++++ vrXhzTYCUGOX_2sdKZwDxg/zuKKEz3QNSvCMLLh9oNLCj6yD2ka-xTMX5gF_hR_WCo/%042dA\n", i)
	}
	return b
}

// TestCopyPlainAllocs checks that passing a record allocates nothing: all allocations
// are for the run and its buffers.
func TestCopyPlainAllocs(t *testing.T) {
	allocs := func(text []byte) float64 {
		return testing.AllocsPerRun(3, func() {
			if _, err := Copy(io.Discard, bytes.NewReader(text), Options{Names: nobody}); err != nil {
				t.Error(err)
			}
		})
	}
	text := plainRecords(4 << 20)
	records := bytes.Count(text, []byte("\n")) + bytes.Count(text, []byte("\r"))
	more := allocs(text) - allocs(text[:1<<18])
	if more > float64(records)/100 {
		t.Errorf("%.0f allocations for %d records", more, records)
	}
}

// BenchmarkScan searches for tokens, in text without any and in text full of them.
func BenchmarkScan(b *testing.B) {
	for name, text := range map[string][]byte{
		"plain":     plainRecords(64 << 10),
		"encrypted": encryptedRecords(64 << 10),
		"words":     []byte(strings.Repeat(strings.Repeat("x", 21)+" ", 3000)),
		"long":      []byte(strings.Repeat("x", 64<<10)),
		"dots":      []byte(strings.Repeat(".", 64<<10)),
		"slashes":   []byte(strings.Repeat("/", 64<<10)),
	} {
		b.Run(name, func(b *testing.B) {
			var s scan.Scanner
			var tokens []scan.Token
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				tokens = s.All(tokens[:0], text, 0)
			}
		})
	}
}

// BenchmarkRewrite rewrites one line.
func BenchmarkRewrite(b *testing.B) {
	const plain = "Projects/Photos of the summer/IMG_0001 at the sea.jpg"
	names := namesFunc(func(string) (string, bool) { return plain, true })
	line := encryptedRecords(1)
	w := rewriter{lookup: newLookup(names, nil, nil, 0)}
	var out []byte
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		w.begin(line, 0)
		out = w.rewrite(out[:0], line, 0)
	}
	if want := ">f+++++++++ " + plain + "\n"; string(out) != want {
		b.Errorf("got %q, want %q", out, want)
	}
}
