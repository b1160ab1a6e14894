package main

import (
	"cmp"
	"io"
	"math"
	"runtime/debug"

	"gocryptfs-rsync-pretty/ctlsock"
	"gocryptfs-rsync-pretty/decode/encrypt"
	"gocryptfs-rsync-pretty/decode/index"
	"gocryptfs-rsync-pretty/decode/tree"
)

// encryptPaths is the way back: it reads plain paths from stdin and writes cipher paths to
// stdout. It returns the exit status.
func encryptPaths(c config, stdin io.Reader, stdout io.Writer, m messages) int {
	debug.SetMemoryLimit(math.MaxInt64) // a batch of paths may need more than the filter
	status := exitOK
	o := encrypt.Options{PathsOnly: c.hideMeta, Plain: c.plain, Fail: func(path string, why error) {
		m.error(path+": "+why.Error(), "")
		status = max(status, exitEncrypted)
	}}
	client := ctlsock.New(c.sock, c.timeout, m.warning)
	defer client.Close()
	if !c.indexOnly {
		files := tree.New(c.mount, c.plain, c.timeout, client)
		warn := m.warning
		if !client.Connect() {
			warn = func(what, hint string) {} // one warning is enough: there is no mount either
		}
		files.Check(warn)
		o.Names, o.Plain = client, cmp.Or(files.Plain(), c.plain)
		o.NoIVs = files.Exists(".") && files.Deterministic()
		if o.Sub = files.Sub(); o.Sub != "" {
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
