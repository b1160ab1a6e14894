package decode

import (
	"bytes"
	"io"

	"gocryptfs-rsync-pretty/decode/scan"
	"gocryptfs-rsync-pretty/decode/style"
)

const (
	// readSize bounds one read, in bytes. gocryptfs is idle at the end of each read:
	// with 64 KiB, a replay of 100,000 names takes a tenth longer (2 cores).
	readSize = 256 << 10

	// maxContext bounds how much of a record is kept after it has been written, in
	// bytes: a link's own path of scan.MaxToken, the arrow, and some more.
	maxContext = 2 * scan.MaxToken

	// pieceSize is the number of bytes that are decoded before they are written, plus the
	// rest of the last record. Names appear while later ones of the same read are still
	// being asked for. 1 KiB doubles the time for text without names (53 MB: 0.4 s of CPU
	// instead of 0.2), and more than 4 KiB gains little.
	pieceSize = 4 << 10
)

// A copier decodes text and writes it.
type copier struct {
	dst      io.Writer
	buf      []byte // what has been read and is still needed
	from     int    // buf[:from] has been written and is kept as context
	settled  int    // buf[:settled] does not depend on what follows
	out      []byte // what is written next
	rewriter rewriter
	style    style.Style
}

// run reads src to its end and writes text as soon as it is settled. defect is the
// value of a panic.
func (c *copier) run(src io.Reader) (defect any, err error) {
	defer func() { defect = recover() }()
	for {
		n, written := len(c.buf), c.from
		m, err := src.Read(c.buf[n : n+readSize])
		c.buf = c.buf[:n+m]
		if err == nil {
			c.settled = c.rewriter.scan.Settled(c.buf, c.settled, n)
		} else {
			c.settled = len(c.buf)
		}
		if err := c.write(c.style.Judge(c.buf, c.from, c.settled, err != nil)); err != nil {
			return nil, err
		}
		start := max(0, c.from-maxContext) // what follows may depend on the record so far
		if i := bytes.LastIndexAny(c.buf[written:c.from], "\r\n"); i >= 0 {
			start = max(start, written+i+1)
		}
		c.buf = c.buf[:copy(c.buf, c.buf[start:])]
		c.from, c.settled = c.from-start, c.settled-start
		if err == io.EOF {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// write decodes and writes pieces of the text, several at a time.
func (c *copier) write(pieces []style.Piece) error {
	if len(pieces) == 0 {
		return nil
	}
	text := c.buf[:pieces[len(pieces)-1].End]
	c.rewriter.begin(text, c.from)
	for len(pieces) > 0 {
		p := pieces[0]
		least := min(p.Start+pieceSize, p.End)
		if i := bytes.IndexByte(text[least:p.End], '\n'); i >= 0 {
			p.End = least + i + 1
		}
		if pieces[0].Start = p.End; p.End == pieces[0].End {
			pieces = pieces[1:]
		}
		c.out = c.paint(c.out, text[:p.End], p)
		if p.End-c.from < pieceSize && p.End < len(text) {
			continue
		}
		if _, err := c.dst.Write(c.out); err != nil {
			return err
		}
		c.out, c.from = c.out[:0], p.End
		c.rewriter.lookup.index.Flush()
	}
	return nil
}

// paint appends p, the end of b, decoded and in its color.
func (c *copier) paint(dst, b []byte, p style.Piece) []byte {
	w, palette := &c.rewriter, &c.style.Palette
	w.markOn, w.markOff = palette.Reset+palette.Dim, palette.Reset+p.SGR
	keep, count := len(dst), w.count
	if p.First {
		dst = append(dst, p.SGR...)
	}
	if p.Last && p.SGR != "" {
		body := bytes.TrimRight(b[p.Start:], "\r\n")
		stop := p.Start + len(body) - len(style.OpenSequence(body))
		dst = append(w.rewrite(dst, b[:stop], p.Start), palette.Reset...)
		p.Start = stop
	}
	if dst = w.rewrite(dst, b, p.Start); p.Hidden { // it is rewritten, because what follows may depend on it
		dst, w.count = dst[:keep], count
	}
	return dst
}
