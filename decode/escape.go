package decode

import "unicode/utf8"

// appendEscaped appends a plain name as rsync prints it (rsync log.c,
// filtered_fwrite): valid UTF-8 as it is, and `\#ooo`, three octal digits, for
// each other byte, for control characters, and for a backslash that would
// otherwise look like the start of such an escape.
//
// Unlike rsync it escapes tab, DEL and U+0080 to U+009F too: no control
// character of a file name is to reach the terminal.
func appendEscaped(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if isControl(rune(c)) || c == '\\' && looksEscaped(s[i:]) {
				dst = appendOctal(dst, c)
			} else {
				dst = append(dst, c)
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || isControl(r) {
			for ; n > 0; n-- {
				dst = appendOctal(dst, s[i])
				i++
			}
			continue
		}
		dst = append(dst, s[i:i+n]...)
		i += n
	}
	return dst
}

func isControl(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }

// looksEscaped reports whether s begins like `\#123`. rsync takes any three
// decimal digits.
func looksEscaped(s string) bool {
	return len(s) >= 5 && s[1] == '#' && isDigit(s[2]) && isDigit(s[3]) && isDigit(s[4])
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func appendOctal(dst []byte, c byte) []byte {
	return append(dst, '\\', '#', '0'+c>>6, '0'+c>>3&7, '0'+c&7)
}
