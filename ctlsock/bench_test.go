package ctlsock

import (
	"fmt"
	"strings"
	"testing"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
)

// BenchmarkDecrypt asks for a new name each time.
func BenchmarkDecrypt(b *testing.B) { benchmark(b, func(*Client, string) bool { return false }) }

// BenchmarkPrepare asks for new names, a window at a time.
func BenchmarkPrepare(b *testing.B) { benchmark(b, (*Client).Prepare) }

// benchmark decrypts names. The server is in the same process, so its cost is included.
// It always answers with the same name, as fast as it can.
func benchmark(b *testing.B, prepare func(*Client, string) bool) {
	_, c, p := serve(b, limit, func(c *ctlsocktest.Conn) {
		reply := ctlsocktest.Name("Projects/Photos of the summer/IMG_0001 at the sea.jpg")
		request := make([]byte, 5000)
		for _, err := c.Read(request); err == nil; _, err = c.Read(request) {
			c.Say(reply)
		}
	})
	path := func(i int) string { return fmt.Sprintf("%022d/%043d/%043d", 1, 2, i) }
	b.ReportAllocs()
	ahead := 0
	for i := 0; b.Loop(); i++ {
		for prepare(c, path(ahead)) {
			ahead++
		}
		if _, ok := c.Decrypt(path(i)); !ok {
			b.Fatal("not decrypted:", *p)
		}
	}
}

// BenchmarkUnmarshal decodes a usual reply, and one with an escape of JSON.
func BenchmarkUnmarshal(b *testing.B) {
	for _, name := range []string{"IMG_0001 at the sea.jpg", "Tom & Jerry.jpg"} {
		b.Run(name[:3], func(b *testing.B) {
			line := []byte(strings.TrimSuffix(ctlsocktest.Name("Projects/Photos of the summer/"+name), "\n"))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := unmarshal(line); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
