package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
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
		Color:    c.color == "always" || c.color != "never" && wantsColor(stdout),
		HideMeta: c.hideMeta,
		Report:   c.verbose,
	}
	if c.mapFile != "" { // before the roots are looked at: a new file may change the time of one
		o.Index = index.Open(c.mapFile, !c.indexOnly, m.index)
	}
	client, files := connect(c, m)
	defer client.Close()
	o.Files = files
	if !c.indexOnly {
		o.Names = client
		o.Mount, _ = filepath.Abs(c.mount) // without it, fewer lines are hidden
	}
	stats, err := decode.Copy(stdout, stdin, o)
	asked := client.Stats()
	status := m.encrypted(stats, c, asked.Failed)
	if err != nil {
		m.error(err.Error(), "")
	}
	if !o.Index.Close() || err != nil {
		status = exitFailed
	}
	if c.verbose {
		m.summary(stats, asked, time.Since(start), c.mapFile != "")
	}
	return status
}

// connect returns a client of gocryptfs and the files behind the names. Without operands, neither
// knows any.
func connect(c config, m messages) (client *ctlsock.Client, files *tree.Tree) {
	client = ctlsock.New(c.sock, c.timeout, m.socket)
	files = tree.New(c.mount, c.plain, c.timeout, client)
	if !c.indexOnly && client.Connect() {
		files.Check(m.files) // otherwise one warning is enough: there is no mount either
	}
	return client, files
}

// wantsColor reports whether -color auto means color. See https://no-color.org for
// NO_COLOR.
func wantsColor(stdout io.Writer) bool {
	return isTerminal(stdout) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// encryptPaths is the way back: it reads plain paths from stdin and writes cipher paths to
// stdout. It returns the exit status.
func encryptPaths(c config, stdin io.Reader, stdout io.Writer, m messages) int {
	client, files := connect(c, m)
	defer client.Close()
	e := encrypt.Encrypter{Names: client, Files: files, View: files.View(), Mount: c.mount, Plain: c.plain, PathsOnly: c.hideMeta}
	indexed, failed, warn := true, 0, m.index
	e.Index = func(wanted map[string]string) {
		indexed = c.mapFile == "" || index.Encrypt(c.mapFile, warn, wanted) && indexed
		warn = func(_, _ string) {} // the next batch would say the same
	}
	e.Fail = func(path, why string) {
		failed++
		m.error(strings.TrimPrefix(path+": "+why, ": "), "")
	}
	all, err := e.Copy(stdout, stdin)
	if c.verbose {
		fmt.Fprintf(m.w, "%s: %d of %s found\n", program, all-failed, count(int64(all), "path"))
	}
	if err != nil {
		m.error(err.Error(), "")
	}
	switch {
	case err != nil, !indexed:
		return exitFailed
	case failed > 0:
		return exitEncrypted
	}
	return exitOK
}
