// Package decode copies a text and shows the real names in it: text in, text
// out. It finds what looks like ciphertext made by gocryptfs anywhere in the
// text, asks for the plain path, and puts that in its place.
//
// It promises, for any bytes however they are cut:
//
//   - Bytes outside of a decoded token come out unchanged and in order.
//   - The input is read to its end, whatever becomes of the questions.
//   - No control character of a name comes out raw.
//   - A wrong name is never shown. When in doubt the token stays as it is.
//   - Memory is bounded.
//   - Only bytes that could still become part of a token wait for more.
//
// token.go finds tokens, rewrite.go replaces them, and tree.go looks at the files
// behind the names; line.go knows kinds of records, for colour and what is left out;
// index.go writes names down. This file reads and writes.
package decode

import (
	"bytes"
	"io"
)

const (
	// readSize is the most that is read at once: what a pipe holds on Linux.
	readSize = 64 << 10

	// partSize is the least that is given to a helper: two windows of names or so.
	partSize = 8 << 10

	// maxContext is how much of a record in front of a text its rewriter sees: a
	// link's own path of maxToken, the arrow, and some more.
	maxContext = 2 * maxToken
)

// Options say how to copy.
type Options struct {
	Names Names
	Tree  *Tree  // may be nil
	Index *Index // gets every name that is decoded; may be nil

	Window  int // names to prepare at the same time, at least 1
	Workers int // parts of a long text to decode at the same time, at least 1

	// Colour shows records by the kind of change, with ANSI sequences.
	Colour bool
	// HideMeta leaves out records that tell of housekeeping files, and the
	// progress that follows them. A record then waits for its end, unless it is
	// progress itself.
	HideMeta bool
}

// Stats counts what was found.
type Stats struct {
	Decoded   int64 // names shown in plain, a path being one name
	Encrypted int64 // names that stayed as they were, in part or whole
}

// Copy copies src to dst, decoded, until the end of src or an error of either.
// It writes what can be written before it waits for more.
//
// What rsync says at a time is decoded by a single goroutine, which costs a third
// less CPU time than to hand it to another one. Only where that falls behind, or
// where the input is a file, the text is long enough to be shared.
func Copy(dst io.Writer, src io.Reader, o Options) (Stats, error) {
	c := copier{
		rewriter: rewriter{names: o.Names, tree: o.Tree, index: o.Index},
		dst:      dst,
		window:   max(o.Window, 1),
		look:     look{colour: o.Colour, hideMeta: o.HideMeta},
	}
	var helpers []*helper
	if o.Index == nil && !o.HideMeta { // these go by the order of the text
		for range o.Workers - 1 {
			h := &helper{copier: c, parts: make(chan part), done: make(chan struct{})}
			h.dst = &h.text
			helpers = append(helpers, h)
			go h.help()
			defer close(h.parts)
		}
	}
	err := c.copy(src, helpers)
	for _, h := range helpers {
		c.count.Decoded += h.count.Decoded
		c.count.Encrypted += h.count.Encrypted
	}
	return c.count, err
}

// A copier decodes text and writes it.
type copier struct {
	rewriter
	dst    io.Writer
	window int
	look   look
	out    []byte // what is written next

	hiding bool // the last file was a housekeeping file
	totals bool // progress is that of the whole run
}

// A helper decodes parts of a long text, each of which is written when those in
// front of it are.
type helper struct {
	copier
	parts chan part
	text  bytes.Buffer
	done  chan struct{} // has an element when the text of a part is ready
}

// A part is text[from:].
type part struct {
	text []byte
	from int
}

func (h *helper) help() {
	for p := range h.parts {
		h.text.Reset()
		h.decode(p.text, p.from) // to memory, without an error
		h.done <- struct{}{}
	}
}

// copy reads, and has written whatever is settled.
func (c *copier) copy(src io.Reader, helpers []*helper) error {
	buf := make([]byte, 0, maxContext+2*maxToken+readSize)
	from := 0 // the context ends here, and text not yet written begins
	for {
		n := len(buf)
		m, err := src.Read(buf[n : n+readSize])
		buf = buf[:n+m]
		end := len(buf)
		if err == nil {
			end = c.look.waits(buf, from, c.settled(buf, from))
		}
		if end > from {
			if err := c.share(buf[:end], from, helpers); err != nil {
				return err
			}
			start := contextStart(buf[:end])
			buf = buf[:copy(buf, buf[start:])]
			from = end - start
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// contextStart returns where the part of b's last record begins that matters to
// what follows.
func contextStart(b []byte) int { return max(lastRecord(b), len(b)-maxContext) }

// lastRecord returns where the record begins that has not ended yet.
func lastRecord(b []byte) int { return bytes.LastIndexAny(b, "\r\n") + 1 }

// share writes b[from:] with its names decoded. If it is long, helpers decode parts
// of it.
func (c *copier) share(b []byte, from int, helpers []*helper) error {
	helpers = helpers[:min(len(helpers), max((len(b)-from)/partSize-1, 0))]
	size := (len(b) - from) / (len(helpers) + 1)
	end := lineEnd(b, from+size)
	start := end
	for i, h := range helpers {
		next := len(b)
		if i < len(helpers)-1 {
			next = lineEnd(b, min(start+size, len(b)))
		}
		h.parts <- part{b[:next], start}
		start = next
	}
	err := c.decode(b[:end], from)
	for _, h := range helpers {
		<-h.done
		if err == nil {
			_, err = c.dst.Write(h.text.Bytes())
		}
	}
	return err
}

// lineEnd returns where the line of b[i:] ends.
func lineEnd(b []byte, i int) int {
	if n := bytes.IndexByte(b[i:], '\n'); n >= 0 {
		return i + n + 1
	}
	return len(b)
}

// decode writes b[from:] with its names decoded, window by window. While one is
// written, the answers to the next are under way.
func (c *copier) decode(b []byte, from int) error {
	next := c.prepare(b, from, c.window)
	for from < len(b) {
		this := next
		if this.end < len(b) {
			next = c.prepare(b, this.end, c.window)
		}
		if this.wait != nil {
			this.wait()
		}
		text := b[from:this.end]
		if this.tokens || c.look != (look{}) {
			c.out = c.lines(c.out[:0], b[:this.end], from)
			text = c.out
		}
		if len(text) > 0 {
			if _, err := c.dst.Write(text); err != nil {
				return err
			}
		}
		c.index.Flush() // which keeps its error
		from = this.end
	}
	return nil
}
