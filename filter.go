package main

import (
	"cmp"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"gocryptfs-rsync-pretty/ctlsock"
	"gocryptfs-rsync-pretty/decode"
	"gocryptfs-rsync-pretty/decode/encrypt"
	"gocryptfs-rsync-pretty/decode/index"
	"gocryptfs-rsync-pretty/decode/tree"
)

// filter copies stdin to stdout, decoded, and returns the exit status.
func filter(c config, stdin io.Reader, stdout io.Writer, m messages) int {
	start := time.Now()
	o := decode.Options{
		Timeout:  c.timeout,
		Color:    c.color == "always" || c.color == "auto" && wantsColor(stdout),
		HideMeta: c.hideMeta,
		Report:   c.verbose,
	}
	if !c.indexOnly {
		o.Mount, _ = filepath.Abs(c.mount) // without it, fewer lines are hidden
	}
	client := ctlsock.New(c.sock, c.timeout, m.warning)
	defer client.Close()
	reached := false
	if !c.indexOnly {
		var files *tree.Tree
		files, reached = connect(c, client, m)
		o.Names, o.Files = client, files
	}
	if c.mapFile != "" {
		o.Index = index.Open(c.mapFile, !c.indexOnly, m.warning)
	}
	stats, err := decode.Copy(stdout, stdin, o)
	asked := client.Stats()
	status := m.encrypted(stats, c.strict, reached, asked.Failed)
	if err != nil {
		m.error(err.Error(), "")
		status = exitFailed
	}
	if !o.Index.Close() {
		status = exitFailed
	}
	if c.verbose {
		m.summary(stats, asked, time.Since(start))
	}
	return status
}

// connect finds the files behind the names and makes a first connection to gocryptfs.
// reached reports whether there is one.
func connect(c config, client *ctlsock.Client, m messages) (files *tree.Tree, reached bool) {
	files = tree.New(c.mount, c.plain, c.timeout, client)
	warn := m.warning
	if reached = client.Connect(); !reached {
		warn = func(what, hint string) {} // one warning is enough: there is no mount either
	}
	files.Check(warn)
	return files, reached
}

// wantsColor reports whether -color auto means color. See https://no-color.org for
// NO_COLOR.
func wantsColor(stdout io.Writer) bool {
	return isTerminal(stdout) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// encryptPaths is the way back: it reads plain paths from stdin and writes cipher paths to
// stdout. It returns the exit status.
func encryptPaths(c config, stdin io.Reader, stdout io.Writer, m messages) int {
	debug.SetMemoryLimit(math.MaxInt64) // a batch of paths may need more than the filter
	status := exitOK
	o := encrypt.Options{PathsOnly: c.hideMeta, Fail: func(path string, why error) {
		m.error(path+": "+why.Error(), "")
		status = max(status, exitEncrypted)
	}}
	if c.plain != "" {
		o.Plain, _ = filepath.Abs(c.plain) // without it, absolute paths are not understood
	}
	client := ctlsock.New(c.sock, c.timeout, m.warning)
	defer client.Close()
	if !c.indexOnly {
		files, _ := connect(c, client, m)
		o.Names, o.Plain = client, cmp.Or(o.Plain, files.View().Plain)
		o.NoIVs = files.Exists(".") && files.View().Deterministic
		if o.Sub = files.View().Sub; o.Sub != "" {
			o.PlainSub, _ = client.Decrypt(o.Sub)
			if back, _ := client.Encrypt(o.PlainSub); back != o.Sub {
				m.error("the plain path of MOUNT is not known", "give the root of the view, and paths from there")
				return exitFailed
			}
		}
	}
	indexed := true
	if c.mapFile != "" {
		o.Index = func(visit func(cipher, plain []byte)) {
			indexed = index.Read(c.mapFile, m.warning, visit) && indexed
		}
	}
	if err := encrypt.Copy(stdout, stdin, o); err != nil {
		m.error(err.Error(), "")
		return exitFailed
	}
	if !indexed {
		return exitFailed
	}
	return status
}
