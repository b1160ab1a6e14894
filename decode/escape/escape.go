// Package escape makes names fit for a terminal, and reverses that.
package escape

import (
	"bytes"
	"unicode/utf8"
)

// String returns s as Append appends it.
func String(s string) string { return string(Append(nil, s)) }

// Append appends a plain name as rsync prints it (rsync log.c,
// filtered_fwrite): valid UTF-8 as it is, and `\#ooo`, three octal digits, for
// each other byte, for control characters other than a tab, and for a backslash
// that would otherwise look like the start of such an escape.
//
// Unlike rsync, it also escapes everything that a terminal may obey (isTrick).
func Append(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		if c := s[i]; c >= ' ' && c < 0x7f && c != '\\' {
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || isTrick(r) || r == '\\' && looksEscaped(s[i:]) {
			for _, c := range []byte(s[i : i+n]) {
				dst = append(dst, '\\', '#', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
			}
		} else {
			dst = append(dst, s[i:i+n]...)
		}
		i += n
	}
	return dst
}

// isTrick reports whether a terminal, or its reader, may not take r as part of a
// name: a control character, a line end, or a change of the direction of text
// (Unicode TR36, 2.10).
func isTrick(r rune) bool {
	return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 ||
		r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// looksEscaped reports whether s, which begins with a backslash, begins like `\#123`.
// For rsync, any three decimal digits make an escape.
func looksEscaped(s string) bool {
	return len(s) >= 5 && s[1] == '#' && isDigit(s[2]) && isDigit(s[3]) && isDigit(s[4])
}

// Undo returns the bytes that Append has escaped as b.
func Undo(b []byte) string {
	i := bytes.Index(b, []byte(`\#`))
	if i < 0 {
		return string(b)
	}
	dst := append(make([]byte, 0, len(b)), b[:i]...)
	for ; i < len(b); i++ {
		c := b[i]
		if e := b[i:]; len(e) >= 5 && c == '\\' && e[1] == '#' && e[2] <= '3' && isOctal(e[2]) && isOctal(e[3]) && isOctal(e[4]) {
			c = (e[2]-'0')<<6 | (e[3]-'0')<<3 | (e[4] - '0')
			i += 4
		}
		dst = append(dst, c)
	}
	return string(dst)
}

func isOctal(c byte) bool { return c >= '0' && c <= '7' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
