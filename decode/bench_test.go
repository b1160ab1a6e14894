package decode

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
)

// everyName is a server that decrypts every name, all to the same one.
type everyName struct{}

func (everyName) Prepare(string) bool { return true }

func (everyName) Decrypt(cipher string) (string, bool) {
	switch strings.Count(cipher, "/") {
	case 0:
		return "Projects", true
	case 1:
		return "Projects/Photos of the summer", true
	}
	return "Projects/Photos of the summer/IMG_0001 at the sea.jpg", true
}

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

// checked checks that what is written is what is wanted.
type checked struct {
	b    testing.TB
	want []byte
}

func (c *checked) Write(p []byte) (int, error) {
	if !bytes.HasPrefix(c.want, p) {
		c.b.Fatalf("wrote %.99q, want %.99q", p, c.want)
	}
	c.want = c.want[len(p):]
	return len(p), nil
}

// BenchmarkCopyPlain passes text without names, and checks that it comes out
// unchanged.
func BenchmarkCopyPlain(b *testing.B) {
	text := plainRecords(8 << 20)
	records := bytes.Count(text, []byte("\n")) + bytes.Count(text, []byte("\r"))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		out := checked{b, text}
		if _, err := Copy(&out, bytes.NewReader(text), Options{Names: everyName{}}); err != nil {
			b.Fatal(err)
		}
		if len(out.want) > 0 {
			b.Fatalf("%d bytes are missing", len(out.want))
		}
	}
	b.ReportMetric(float64(records), "records/op")
}

// TestCopyPlainAllocs checks that passing a record allocates nothing: all allocations
// are for the run and its buffers.
func TestCopyPlainAllocs(t *testing.T) {
	allocs := func(text []byte) float64 {
		return testing.AllocsPerRun(3, func() {
			if _, err := Copy(io.Discard, bytes.NewReader(text), Options{Names: everyName{}}); err != nil {
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

// BenchmarkCopyNames decodes a name in every line, without waiting for answers.
func BenchmarkCopyNames(b *testing.B) {
	text := encryptedRecords(1 << 20)
	names := int64(bytes.Count(text, []byte("\n")))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		s, err := Copy(io.Discard, bytes.NewReader(text), Options{Names: everyName{}})
		if err != nil || s.Decoded != names {
			b.Fatalf("%d of %d names, %v", s.Decoded, names, err)
		}
	}
	b.ReportMetric(float64(names), "names/op")
}

// BenchmarkScan searches for tokens, in text without any and in text full of them.
func BenchmarkScan(b *testing.B) {
	for name, text := range map[string][]byte{
		"plain":     plainRecords(64 << 10),
		"encrypted": encryptedRecords(64 << 10),
		"words":     []byte(strings.Repeat(strings.Repeat("x", minName-1)+" ", 3000)),
		"long":      []byte(strings.Repeat("x", 64<<10)),
		"dots":      []byte(strings.Repeat(".", 64<<10)),
		"slashes":   []byte(strings.Repeat("/", 64<<10)),
	} {
		b.Run(name, func(b *testing.B) {
			var s scanner
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				for i := 0; ; {
					t, ok := s.next(text, i, true)
					if !ok {
						break
					}
					i = t.end
				}
			}
		})
	}
}

// BenchmarkRewrite rewrites one line.
func BenchmarkRewrite(b *testing.B) {
	line := encryptedRecords(1)
	w := rewriter{lookup: newLookup(Options{Names: everyName{}})}
	var out []byte
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		w.begin(line, 0)
		out = w.rewrite(out[:0], line, 0)
	}
	if want := ">f+++++++++ Projects/Photos of the summer/IMG_0001 at the sea.jpg\n"; string(out) != want {
		b.Errorf("got %q, want %q", out, want)
	}
}

// BenchmarkEscape writes names as rsync does.
func BenchmarkEscape(b *testing.B) {
	for name, s := range map[string]string{
		"ascii":   "IMG_0001 at the sea.jpg",
		"utf8":    "Fotos vom schönen Sommer 🏖.jpg",
		"control": "one\ntwo\x1b[31m\\#012",
	} {
		b.Run(name, func(b *testing.B) {
			var out []byte
			b.SetBytes(int64(len(s)))
			b.ReportAllocs()
			for b.Loop() {
				out = appendEscaped(out[:0], s)
			}
		})
	}
}
