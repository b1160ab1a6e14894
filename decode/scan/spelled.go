package scan

import (
	"bytes"
	"regexp"
	"strings"
)

// A word that is no name as a whole may hold one all the same. It begins where the word
// begins or after glue, and it ends where the word ends or before what mayEnd lists.
var glue = regexp.MustCompile(`^(?:` + strings.ReplaceAll(strings.Join([]string{
	`[<>ch.*][fdLDS][.?+cstTpogunabxf]{5,11}`, // .f..t....xNAME      rsync --out-format=%i%n

	// A byte that another program has spelled out.
	"[\\\\`][A-Za-z]",    // \nNAME  `nNAME       C, JSON, Python, shells, SQL, YAML
	`\\c[A-Z]`,           // \cJNAME              shells, Perl
	`\\HEX{1,6}`,         // \012NAME  \27NAME    C; Lua, CSS, SQL
	`\\[x']HEX{2}`,       // \x0aNAME  \'0aNAME   C; RTF
	`[\\%]uHEX{4}`,       // \u000aNAME           JSON, JavaScript
	`\\UHEX{8}`,          // \U0000000aNAME       Python, Go
	`#HEX{2,3}`,          // #012NAME  #0ANAME    syslog, sudo, rsync; HAProxy
	`[%=](?:25)*HEX{2}`,  // %2FNAME  =3DNAME     URL, perhaps encoded twice; quoted-printable
	`\^[A-Z]`, `M-[!-~]`, // ^MNAME  M-CM-<NAME   cat -v

	// The end of a control sequence whose ESC is spelled out in any way, or left out.
	`(?:\[|%5B)(?:[0-9:;]|%3B)*[A-Za-z]`, // \u001b[32mNAME  ^[[32mNAME  %1B%5B32mNAME
}, "|"), "HEX", "[0-9A-Fa-f]") + `)$`)

const (
	maxGlue    = maxSequence + 2   // in bytes
	glueStarts = "\\`#%=^[<>ch.*M" // the bytes that glue begins with
)

// mayBegin reports whether a name may begin at i.
//
//	2026-11-23_NAME  ._NAME  -NAME
func mayBegin(b []byte, i int) bool {
	if atBoundary(b, i) || b[i-1] == '-' || b[i-1] == '_' {
		return true
	}
	for start := i - 2; start >= max(0, i-maxGlue); start-- {
		if strings.IndexByte(glueStarts, b[start]) >= 0 && glue.Match(b[start:i]) {
			return true
		}
	}
	return false
}

// mayEnd reports whether a name may end at i, within a word.
//
//	NAME-2026-11-23  NAME_  NAMEM-bM-^@M-^Y
func mayEnd(b []byte, i int) bool {
	return b[i] == '-' || b[i] == '_' || bytes.HasPrefix(b[i:], []byte("M-"))
}

// equals are the ways in which `=`, the padding of a name, may be written: itself, and
// spelled out in a URL, quoted-printable, JSON, C, syslog, and XML. Where one begins with
// another one, it stands first.
var equals = strings.Fields(`=3D = %3D %3d %253D \u003d \u003D \x3d \x3D \075 #075 #3D &#61; &#x3D; &#x3d; &equals;`)

// cutEquals returns b without the `=` that it begins with.
func cutEquals(b []byte) (rest []byte, ok bool) {
	for _, e := range equals {
		if bytes.HasPrefix(b, []byte(e)) {
			return b[len(e):], true
		}
	}
	return b, false
}

// padding returns the number of `=` after a name of n characters that pad it to a multiple
// of four, and the offset after them. They may be spelled out. If they are not all there,
// these are 0 and i.
func padding(b []byte, i, n int) (pad, end int) {
	rest, ok := b[i:], i < len(b) && strings.IndexByte(`=%\#&`, b[i]) >= 0
	for pad = -n & 3; ok && pad > 0; pad-- {
		rest, ok = cutEquals(rest)
	}
	if !ok {
		return 0, i
	}
	return -n & 3, len(b) - len(rest)
}
