package ctlsock

import (
	"fmt"
	"strings"
	"testing"

	"gocryptfs-rsync-pretty/ctlsock/ctlsocktest"
)

// oneReply is a script that always answers with the same name, as fast as it can.
func oneReply(c *ctlsocktest.Conn) {
	reply := ctlsocktest.Name("Projects/Photos of the summer/IMG_0001 at the sea.jpg")
	buf := make([]byte, 5000)
	for {
		if _, err := c.Read(buf); err != nil || !c.Say(reply) {
			return
		}
	}
}

// BenchmarkDecrypt asks for a new name each time. The server is in the same process,
// so its cost is included.
func BenchmarkDecrypt(b *testing.B) {
	s := ctlsocktest.Start(b, ctlsocktest.Path(b), oneReply)
	c, p := newClient(b, s.Path, limit)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, ok := c.Decrypt(fmt.Sprintf("%022d/%043d/%043d", 1, 2, i)); !ok {
			b.Fatal("not decrypted")
		}
	}
	if len(p.list) > 0 {
		b.Error(p)
	}
}

// BenchmarkPrepare asks for new names, a window at a time.
func BenchmarkPrepare(b *testing.B) {
	s := ctlsocktest.Start(b, ctlsocktest.Path(b), oneReply)
	c, p := newClient(b, s.Path, limit)
	path := func(i int) string { return fmt.Sprintf("%022d/%043d/%043d", 1, 2, i) }
	b.ReportAllocs()
	ahead := 0
	for i := 0; b.Loop(); i++ {
		for c.Prepare(path(ahead)) {
			ahead++
		}
		c.Decrypt(path(i))
	}
	if len(p.list) > 0 {
		b.Error(p)
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
