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
// index.go writes names down. This file keeps several rewriters busy and in order.
package decode

import (
	"bufio"
	"bytes"
	"io"
	"sync"
	"sync/atomic"
)

const (
	// readSize is the most that is read at once: what a pipe holds on Linux.
	readSize = 64 << 10

	// batchSize is about what one rewriter gets at once. Replays of 100,000 names
	// with 1, 4 and 16 KiB do not differ by more than the noise.
	batchSize = 4 << 10

	// directSize is the most that the reader decodes itself. For a single line that
	// takes a quarter off the time: half of them within 0.33 in place of 0.44 ms. Up
	// to 4 KiB it makes no difference to rsync | filter (100,000 names, 2 cores).
	directSize = 1 << 10

	// maxContext is how much of a record in front of a batch its rewriter sees: a
	// link's own path of maxToken, the arrow, and some more.
	maxContext = 2 * maxToken

	// maxBatches are under way at once.
	maxBatches = 64
)

// Options say how to copy.
type Options struct {
	Names   Names
	Tree    *Tree  // may be nil
	Workers int    // questions asked at the same time, at least 1
	Index   *Index // gets every name that is decoded; may be nil

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
// After an error of dst it does not wait for src, of which a Read may go on.
func Copy(dst io.Writer, src io.Reader, o Options) (Stats, error) {
	c := &copier{
		src:   src,
		look:  look{colour: o.Colour, hideMeta: o.HideMeta},
		out:   bufio.NewWriterSize(dst, readSize),
		index: o.Index,
		order: make(chan *batch, maxBatches),
		work:  make(chan *batch, maxBatches),
		quit:  make(chan struct{}),
	}
	var workers sync.WaitGroup
	rewriters := make([]rewriter, 1+max(o.Workers, 1))
	for i := range rewriters {
		w := &rewriters[i]
		w.names, w.tree, w.look, w.indexed = o.Names, o.Tree, c.look, o.Index != nil
		if i > 0 {
			workers.Go(func() { c.rewrite(w) })
		}
	}
	go c.read(&rewriters[0])
	err := c.write()
	close(c.quit)
	workers.Wait()
	if err != nil {
		rewriters = rewriters[1:] // the reader may still have its own
	}
	var sum Stats
	for _, w := range rewriters {
		sum.Decoded += w.count.Decoded
		sum.Encrypted += w.count.Encrypted
	}
	if err == nil {
		err = c.readErr
	}
	return sum, err
}

// A copier moves batches: read cuts the input into them, any rewriter takes one,
// and write puts them out in order.
type copier struct {
	src     io.Reader
	readErr error // of src; set before order is closed
	look    look

	order, work chan *batch
	underWay    atomic.Int64  // batches in order, or just taken from it
	quit        chan struct{} // closed when nothing is written any more

	mu     sync.Mutex // of what follows
	out    *bufio.Writer
	index  *Index
	hiding bool // the last file was a housekeeping file
	totals bool // progress is that of the whole run

	chunks  sync.Pool // of *chunk
	batches sync.Pool // of *batch
}

// A batch is a part of the input that ends where a record does, or where no token
// is cut.
type batch struct {
	chunk *chunk
	text  []byte        // with what stands in front of it in its first record
	from  int           // where the batch itself begins
	done  chan struct{} // has an element when what follows is ready

	out     []byte
	parts   []part  // of out, if some may be left out
	entries []entry // for the index
}

// A chunk is memory that several batches lie in.
type chunk struct {
	buf  []byte
	mu   sync.Mutex
	uses int
}

// read cuts the input into batches. With w it decodes those that nothing has to
// wait for.
func (c *copier) read(w *rewriter) {
	defer close(c.order)
	defer close(c.work)
	var s scanner
	ch := c.newChunk()
	from := 0 // the context ends here, and text not yet sent begins
	for ok := true; ; {
		n := len(ch.buf)
		m, err := c.src.Read(ch.buf[n : n+readSize])
		ch.buf = ch.buf[:n+m]
		end := len(ch.buf)
		if err == nil {
			end = c.look.waits(ch.buf, from, s.settled(ch.buf, from))
		}
		if end > from {
			next := c.newChunk()
			next.buf = append(next.buf, context(ch.buf[:end])...)
			nextFrom := len(next.buf)
			next.buf = append(next.buf, ch.buf[end:]...)
			if c.underWay.Load() == 0 && end-from <= directSize {
				ok = c.direct(w, ch, from, end)
			} else {
				ok = c.send(ch, from, end)
			}
			if !ok {
				return
			}
			ch, from = next, nextFrom
		}
		if err != nil {
			if err != io.EOF {
				c.readErr = err
			}
			return
		}
	}
}

// context returns the part of b's last record that matters to what follows.
func context(b []byte) []byte {
	b = b[lastRecord(b):]
	return b[max(0, len(b)-maxContext):]
}

// lastRecord returns where the record begins that has not ended yet.
func lastRecord(b []byte) int { return bytes.LastIndexAny(b, "\r\n") + 1 }

// send hands out ch.buf[from:end] in batches. It reports false if nobody writes
// any more.
func (c *copier) send(ch *chunk, from, end int) bool {
	ch.uses = 1
	for start := 0; from < end; {
		cut := end
		if cut-from > batchSize {
			if n := lastRecord(ch.buf[from : from+batchSize]); n > 0 {
				cut = from + n
			}
		}
		b := c.newBatch(ch)
		b.text, b.from = ch.buf[start:cut], from-start
		c.underWay.Add(1)
		for _, to := range []chan *batch{c.order, c.work} {
			select {
			case to <- b:
			case <-c.quit:
				return false
			}
		}
		start, from = cut, cut
	}
	c.release(ch)
	return true
}

// direct decodes and writes ch.buf[:end] from the reader's own goroutine. While
// nothing is under way that saves handing it over twice, which takes longer than a
// question. It reports false after an error, which stays with c.out.
func (c *copier) direct(w *rewriter, ch *chunk, from, end int) bool {
	b := c.newBatch(ch)
	b.text, b.from = ch.buf[:end], from
	w.batch(b)
	return c.put(b) == nil && c.flush() == nil
}

func (c *copier) newChunk() *chunk {
	if ch, ok := c.chunks.Get().(*chunk); ok {
		return ch
	}
	return &chunk{buf: make([]byte, 0, maxContext+2*maxToken+readSize)}
}

func (c *copier) newBatch(ch *chunk) *batch {
	ch.mu.Lock()
	ch.uses++
	ch.mu.Unlock()
	b, ok := c.batches.Get().(*batch)
	if !ok {
		b = &batch{done: make(chan struct{}, 1)}
	}
	b.chunk = ch
	return b
}

func (c *copier) release(ch *chunk) {
	ch.mu.Lock()
	ch.uses--
	free := ch.uses == 0
	ch.mu.Unlock()
	if free {
		ch.buf = ch.buf[:0]
		c.chunks.Put(ch)
	}
}

// rewrite decodes batches until there are no more, or nobody writes any more.
func (c *copier) rewrite(w *rewriter) {
	for {
		select {
		case b, ok := <-c.work:
			if !ok {
				return
			}
			w.batch(b)
			b.done <- struct{}{}
		case <-c.quit:
			return
		}
	}
}

// write puts the batches out in order, as many as are ready in one write.
func (c *copier) write() error {
	for {
		b, ok, err := receive(c.order, c.flush)
		if err != nil {
			return err
		}
		if !ok {
			return c.flush()
		}
		if _, _, err := receive(b.done, c.flush); err != nil {
			return err
		}
		if err := c.put(b); err != nil {
			return err
		}
		c.underWay.Add(-1)
	}
}

// flush writes what put has left in memory.
func (c *copier) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.out.Flush(); err != nil {
		return err
	}
	c.index.Flush() // which keeps its error
	return nil
}

// put writes what is to be seen of a batch, and is done with it.
func (c *copier) put(b *batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.show(b); err != nil {
		return err
	}
	c.index.add(b.entries)
	c.release(b.chunk)
	c.batches.Put(b)
	return nil
}

func (c *copier) show(b *batch) error {
	if !c.look.hideMeta {
		_, err := c.out.Write(b.out)
		return err
	}
	start := 0
	for _, p := range b.parts {
		switch p.show {
		case always, never:
			c.hiding = p.show == never
		case totalsOnly:
			c.totals = true
		}
		if !c.hiding || c.totals && p.show != never {
			if _, err := c.out.Write(b.out[start:p.end]); err != nil {
				return err
			}
		}
		start = p.end
	}
	return nil
}

// receive receives from ch. Before it waits, it flushes.
func receive[T any](ch <-chan T, flush func() error) (v T, ok bool, err error) {
	select {
	case v, ok = <-ch:
		return v, ok, nil
	default:
	}
	if err := flush(); err != nil {
		return v, false, err
	}
	v, ok = <-ch
	return v, ok, nil
}
