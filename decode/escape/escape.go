// Package escape makes names fit for a terminal, and reverses that.
package escape

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// String returns s as Append appends it.
func String(s string) string { return string(Append(nil, s)) }

// Append appends a plain name as rsync prints it (rsync log.c,
// filtered_fwrite): valid UTF-8 as it is, and `\#ooo`, three octal digits, for
// each other byte, for control characters other than a tab, and for a backslash
// that would otherwise look like the start of such an escape, with any three digits.
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
		if r == utf8.RuneError && n == 1 || isTrick(r) || looksEscaped(s[i:], '9') {
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
	return unicode.IsControl(r) && r != '\t' || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// looksEscaped reports whether s begins like `\#123`, with digits up to last.
func looksEscaped(s string, last byte) bool {
	isDigit := func(c byte) bool { return c >= '0' && c <= last }
	return len(s) >= 5 && s[:2] == `\#` && isDigit(s[2]) && isDigit(s[3]) && isDigit(s[4])
}

// Undo returns the bytes that Append has escaped as b.
func Undo(b []byte) string {
	s := string(b)
	if !strings.Contains(s, `\#`) {
		return s
	}
	dst := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if looksEscaped(s[i:], '7') && s[i+2] <= '3' {
			c = (s[i+2]-'0')<<6 | (s[i+3]-'0')<<3 | (s[i+4] - '0')
			i += 4
		}
		dst = append(dst, c)
	}
	return string(dst)
}
