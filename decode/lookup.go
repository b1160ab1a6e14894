package decode

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// What decrypts at once takes one question. More of them are for what does not,
	// and have to be few where the text is full of that: each takes a credit, of
	// which there is one for so many bytes of text. What decrypts in the end gives
	// its credits back.
	bytesPerCredit = 32
	maxCredit      = 4096

	// exactEntries bounds the doubtful names and the targets that are remembered.
	exactEntries = 1024
)

// Names decrypts paths relative to the root of the encrypted view. Its methods are
// called from one goroutine.
type Names interface {
	// Prepare may ask already for the plain path of a cipher path that Decrypt is
	// going to be called with. It reports false if it wants to be told later.
	Prepare(cipher string) bool
	// Decrypt returns the plain path of a cipher path, with as many components, and
	// U+FFFD for each byte that is not valid UTF-8. It reports false if there is no
	// such name or nobody to ask.
	Decrypt(cipher string) (plain string, ok bool)
}

// A lookup finds the exact plain path of a cipher path: in the index, or else by
// asking. A doubtful answer is not passed on before something has confirmed it.
type lookup struct {
	names   Names  // may be nil
	index   *Index // may be nil
	tree    *Tree  // may be nil
	timeout time.Duration

	indexed int64 // answers from the index
	known   bool  // the last answer was one
	exact   map[string]string

	path   []byte // scratch
	asked  string // what waits to be prepared
	credit int
	spent  int       // for this token
	start  time.Time // of this token, once it takes more than a question

	alike *bool // names are the same in every directory; nil if that is not known
}

func newLookup(o Options) lookup {
	return lookup{names: o.Names, index: o.Index, tree: o.Tree, timeout: o.Timeout,
		credit: maxCredit * bytesPerCredit, exact: map[string]string{}}
}

// earn takes account of n more bytes of text.
func (l *lookup) earn(n int) {
	l.credit = min(l.credit+n, maxCredit*bytesPerCredit)
}

// begin begins with a token.
func (l *lookup) begin() { l.spent, l.start = 0, time.Time{} }

// more reports whether another question may be asked for this token.
func (l *lookup) more() bool {
	if l.start.IsZero() {
		l.start = time.Now()
	}
	return l.credit >= bytesPerCredit && (l.timeout == 0 || time.Since(l.start) < l.timeout)
}

// prepare has a path asked for that is not in the index. It reports false if it has
// to be called again later.
func (l *lookup) prepare(cipher string) bool {
	return l.names == nil || l.index.has(cipher) || l.names.Prepare(cipher)
}

// decrypt returns the exact plain path of a cipher path. Its first own components
// do not stand in the text.
func (l *lookup) decrypt(cipher string, own int) (plain string, ok bool) {
	if plain, ok = l.index.find(cipher); ok {
		l.indexed++
	}
	if l.known = ok; ok {
		// It cost no question.
	} else if l.names != nil {
		if plain, ok = l.names.Decrypt(cipher); ok && isDoubtful(plain) {
			plain, ok = l.confirm(cipher, plain, own)
		}
	}
	if ok {
		l.credit += l.spent
		l.spent = 0
	} else {
		cost := min(l.credit, bytesPerCredit)
		l.credit -= cost
		l.spent += cost
	}
	return plain, ok
}

// isDoubtful reports whether an answer may be junk: one in 280 random words of the
// right length decrypts to random bytes. Nearly all of these hold a control
// character, or U+FFFD in place of bytes that are no UTF-8. To encrypt it again
// would prove nothing but its bytes: names are a bijection, so whatever decrypts
// encrypts back.
func isDoubtful(plain string) bool {
	return strings.ContainsFunc(plain, func(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) })
}

// confirm returns a doubtful answer with the exact bytes of its names. Each name
// without U+FFFD is right if the text has it below a directory that decrypts
// without doubt, and each one that the index has or that is there is right.
func (l *lookup) confirm(cipher, plain string, own int) (string, bool) {
	if exact, known := l.exact[cipher]; known {
		return exact, true
	}
	exact, below := "", false
	ends := append(slashes(cipher), len(cipher))
	for i, leaf := range strings.Split(plain, "/") {
		exact = strings.TrimPrefix(exact+"/"+leaf, "/")
		if !isDoubtful(leaf) {
			below = below || i >= own
			continue
		}
		at := cipher[:ends[i]]
		known, ok := l.index.find(at)
		switch {
		case ok:
			exact = known
		case strings.ContainsRune(leaf, utf8.RuneError):
			if exact, ok = l.tree.Spelling(at, exact); !ok {
				return "", false
			}
		case !below && !l.tree.Exists(at):
			return "", false
		}
	}
	l.remember(cipher, exact)
	return exact, true
}

// target returns the plain target of a symbolic link if text begins with its
// encrypted one, which takes n bytes. What that stands for never changes.
//
// A look at files costs more than a question, and the more the deeper they are: 44 ms
// of CPU time below 100 directories.
func (l *lookup) target(cipher, plain string, text []byte) (target string, n int) {
	key := cipher + "\x00" + string(text)
	if target, known := l.exact[key]; known {
		return target, len(text)
	}
	depth := 1 + strings.Count(cipher, "/")
	cost := bytesPerCredit + 4*depth*depth
	if l.credit < cost {
		return "", 0
	}
	l.credit -= cost
	if target, n = l.tree.Target(cipher, plain, text); n == len(text) {
		l.remember(key, target)
	}
	if n > 0 {
		l.credit += cost
	}
	return target, n
}

// remember takes note of the exact bytes of a name or a target.
func (l *lookup) remember(key, exact string) {
	if len(l.exact) >= exactEntries {
		clear(l.exact)
	}
	l.exact[strings.Clone(key)] = exact
}

// slashes returns where the slashes of a path are.
func slashes(path string) (at []int) {
	for i := range len(path) {
		if path[i] == '/' {
			at = append(at, i)
		}
	}
	return at
}

// bases returns the directories that a path in the text may be relative to where
// MOUNT is inside of the view, each with a slash behind it: MOUNT and the root. A
// path that begins with the last names of MOUNT's own comes from above these, as
// with a source that has no slash at its end; that one is the first.
func (l *lookup) bases(path string) []string {
	sub := l.tree.Sub()
	bases := []string{sub + "/", ""}
	for _, i := range append([]int{-1}, slashes(sub)...) {
		if strings.HasPrefix(path+"/", sub[i+1:]+"/") {
			return slices.Insert(bases, 0, sub[:i+1])
		}
	}
	return bases
}

// isPlace reports whether a part that decrypts in one of several directories lies
// there. Only where names are the same in every directory it may not.
func (l *lookup) isPlace(p part, bases []string) bool {
	return len(bases) == 1 || !l.areAlike() || l.tree.Exists(p.cipher)
}

// areAlike reports whether names are the same in every directory, as with
// gocryptfs -deterministic-names: then the last name of MOUNT's own path decrypts in
// it.
func (l *lookup) areAlike() bool {
	if l.alike == nil && l.names != nil {
		sub := l.tree.Sub()
		_, alike := l.names.Decrypt(sub + "/" + sub[strings.LastIndexByte(sub, '/')+1:])
		l.alike = &alike
	}
	return l.alike != nil && *l.alike
}

// learn writes down what has been decrypted.
func (l *lookup) learn(p part) {
	if !p.unsure && !p.known {
		l.index.add(p.cipher, p.plain)
	}
}
