package decode

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gocryptfs-rsync-pretty/decode/index"
	"gocryptfs-rsync-pretty/decode/scan"
)

// exactBytes bounds the doubtful names and the targets that are remembered.
const exactBytes = 1 << 20

// A lookup finds the exact plain path of a cipher path: in the index or, failing
// that, by asking. A doubtful answer has to be confirmed before it is used.
type lookup struct {
	names  Names        // may be nil
	index  *index.Index // may be nil
	files  Files
	budget budget

	indexed   int64             // answers from the index
	exact     map[string]string // confirmed names, and link targets
	exactSize int               // bytes in exact, about

	path []byte // scratch
}

func newLookup(names Names, files Files, x *index.Index, timeout time.Duration) lookup {
	if files == nil {
		files = noFiles{}
	}
	return lookup{names: names, files: files, index: x,
		budget: budget{timeout: timeout, credit: maxCredit * price}, exact: map[string]string{}}
}

// prepare asks ahead for a path, unless its last name is in the index. It returns false if
// it has to be called again later.
func (l *lookup) prepare(cipher string) bool {
	return l.names == nil || !l.budget.has(extra(cipher)) || l.index.Has(cipher) || l.names.Prepare(cipher)
}

// extra returns how many questions more than one a question about a path costs.
func extra(cipher string) int { return len(cipher) / longPath }

// decrypt returns the cipher path of names in the directory dir, and its exact plain path.
// dir is empty or ends in a slash. If only the index has these names, and in another
// directory, it returns their paths there. The first components of dir/names, as many as
// implied, do not stand in the text.
func (l *lookup) decrypt(dir, names string, implied int) (cipher, plain string, fromIndex bool) {
	cipher, plain = l.find(dir, names)
	ok := cipher != ""
	if ok {
		l.indexed++
		fromIndex = true
		if here, known := l.here(dir, names, cipher, plain); known {
			return dir + names, here, false
		}
	} else if cipher = dir + names; l.names != nil && l.budget.has(extra(cipher)) {
		if plain, ok = l.names.Decrypt(cipher); ok && isDoubtful(plain) {
			plain, ok = l.confirm(cipher, plain, implied)
		}
		ok = ok && l.isGenuine(cipher, plain)
	}
	if !ok {
		if n := 1 + extra(cipher); l.budget.has(n) {
			l.budget.charge(n)
		}
		return "", "", false
	}
	l.budget.refund()
	return cipher, plain, fromIndex
}

// find returns the paths that Index.Find finds, as far as there is credit to search.
func (l *lookup) find(dir, names string) (cipher, plain string) {
	most := max(perQuestion-1, l.budget.credit/price*perQuestion)
	cipher, plain, read := l.index.Find(dir, names, most)
	l.budget.read(read)
	return cipher, plain
}

// learn adds a path to the index. If names are the same in every directory, it has to
// exist: the text may give the directory of a name or not.
func (l *lookup) learn(cipher, plain string) {
	if l.index != nil && (!l.files.View().Deterministic || l.files.Exists(cipher)) {
		l.index.Add(cipher, plain)
	}
}

// here returns the plain path of names in the directory dir. The index has them elsewhere,
// as cipher and plain. ok is false unless names do not tell their directory and the view
// has these in dir, too.
func (l *lookup) here(dir, names, cipher, plain string) (path string, ok bool) {
	if cipher == dir+names || !l.files.View().Deterministic || !l.budget.has(1) {
		return "", false
	}
	if !l.files.Exists(dir + names) {
		l.budget.charge(1)
		return "", false
	}
	for range strings.Count(plain, "/") - strings.Count(names, "/") {
		_, plain, _ = strings.Cut(plain, "/")
	}
	if dir == "" {
		return plain, true
	}
	above := strings.TrimSuffix(dir, "/")
	found, path, _ := l.decrypt("", above, 0)
	return path + "/" + plain, found == above
}

// isGenuine reports whether a plain path encrypts to its cipher path. In forward mode,
// gocryptfs reads a long name from the file beside it and does not compare it with the
// hash: whoever writes the storage can exchange two of these files. A path that is not UTF-8
// cannot be encrypted: JSON does not hold it.
func (l *lookup) isGenuine(cipher, plain string) bool {
	if !strings.Contains(cipher, scan.LongPrefix) || l.files.View().Reverse {
		return true
	}
	back, ok := l.names.Encrypt(plain)
	return ok && back == cipher
}

// isDoubtful reports whether an answer may be junk: one in 280 random words of the
// right length decrypts, to random bytes. Nearly all of these hold a control
// character, or U+FFFD in place of bytes that are not UTF-8. Encrypting the answer
// again would prove nothing: names are a bijection, so whatever decrypts encrypts
// back.
func isDoubtful(plain string) bool {
	return strings.ContainsFunc(plain, func(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) })
}

// confirm returns a doubtful answer with the exact bytes of its names, if all its
// doubtful names are confirmed. The index or an existing file confirms a name. If it
// has no U+FFFD, so does its place in the text below a directory that decrypts
// without doubt.
func (l *lookup) confirm(cipher, plain string, implied int) (string, bool) {
	if exact, known := l.exact[cipher]; known {
		return exact, true
	}
	exact, below, rest := "", false, cipher
	for i, leaf := range strings.Split(plain, "/") {
		exact = strings.TrimPrefix(exact+"/"+leaf, "/")
		_, rest, _ = strings.Cut(rest, "/")
		if !isDoubtful(leaf) {
			below = below || i >= implied
			continue
		}
		at := strings.TrimSuffix(cipher[:len(cipher)-len(rest)], "/") // of leaf
		known, ok := l.exact[at]
		if !ok {
			var found string
			found, known = l.find("", at)
			ok = found == at
		}
		switch {
		case ok:
			exact = known
		case strings.ContainsRune(leaf, utf8.RuneError):
			if exact, ok = l.spelling(at, exact); !ok {
				return "", false
			}
		case !below && !l.files.Exists(at):
			return "", false
		}
		l.remember(at, exact)
	}
	return exact, true
}

// spelling returns the exact plain path of one that has U+FFFD in its last name. To read a
// large directory is paid for afterwards, when its size is known, so the credit may fall
// below zero.
func (l *lookup) spelling(cipher, plain string) (exact string, ok bool) {
	if !l.budget.has(1) {
		return "", false
	}
	exact, read, ok := l.files.Spelling(cipher, plain)
	l.budget.read(read + perQuestion - 1)
	return exact, ok
}

// linkTarget returns the plain target of a symbolic link if text is the encrypted one. The
// plain target of an encrypted one never changes, so it is remembered. A look at files costs
// more than a question, and more the deeper they lie.
func (l *lookup) linkTarget(cipher, plain string, text []byte) (target string, ok bool) {
	key := cipher + "\x00" + string(text)
	if target, ok = l.exact[key]; ok {
		return target, true
	}
	price := perLook * (1 + strings.Count(cipher, "/"))
	if !l.budget.has(price) {
		return "", false
	}
	if target, ok = l.files.Target(cipher, plain, text); ok {
		l.remember(key, target)
	} else {
		l.budget.charge(price)
	}
	return target, ok
}

// remember keeps the exact bytes of a name or a target.
func (l *lookup) remember(key, exact string) {
	if _, known := l.exact[key]; known {
		return
	}
	if l.exactSize += 100 + len(key) + len(exact); l.exactSize > exactBytes {
		clear(l.exact)
		l.exactSize = 0
	}
	l.exact[strings.Clone(key)] = exact
}
