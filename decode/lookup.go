package decode

import (
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"gocryptfs-rsync-pretty/decode/index"
	"gocryptfs-rsync-pretty/decode/scan"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxExact bounds what is remembered, in entries. An entry takes 16 KB at most.
const maxExact = 1 << 9

// A lookup finds the exact plain path of a cipher path: in the index or, failing
// that, by asking. A doubtful answer has to be confirmed before it is used.
type lookup struct {
	names  Names        // may be nil
	index  *index.Index // may be nil
	files  Files
	budget budget

	indexed int64                    // answers from the index
	exact   *lru.LRU[string, string] // confirmed paths, and link targets
}

func newLookup(names Names, files Files, x *index.Index, timeout time.Duration) lookup {
	exact, _ := lru.NewLRU[string, string](maxExact, nil) // fails only if the size is below one
	return lookup{names: names, files: files, index: x, exact: exact,
		budget: budget{timeout: timeout, credit: maxCredit * textPrice, loose: maxLoose}}
}

// prepare asks ahead for a path, unless its last name is in the index. It returns false if
// it has to be called again later.
func (l *lookup) prepare(cipher string) bool {
	return l.names == nil || !l.budget.has(len(cipher)/longPath) || l.index.Has(cipher) || l.names.Prepare(cipher)
}

// decrypt returns the cipher path of names in the directory dir, and its exact plain path.
// dir is empty or ends in a slash. If only the index has these names, and in another
// directory, it returns their paths there. The first components of dir/names, as many as
// implied, do not stand in the text.
func (l *lookup) decrypt(dir, names string, implied int) (cipher, plain string, fromIndex bool) {
	asked := dir + names
	cipher, plain = l.find(dir, names)
	// If names may be the same in every directory, gocryptfs may know them in this one.
	if cipher == "" || cipher != asked && l.files.View().Deterministic {
		if answer, ok := l.ask(asked, implied); ok {
			return asked, answer, false
		}
	}
	if cipher != "" {
		l.indexed++
	} else {
		l.budget.charge(min(1+len(asked)/longPath, l.budget.questions()))
	}
	return cipher, plain, true
}

// find returns the paths that Index.Find finds, as far as there is credit to search.
func (l *lookup) find(dir, names string) (cipher, plain string) {
	cipher, plain, read := l.index.Find(dir, names, perQuestion*(1+l.budget.questions())-1)
	l.budget.chargeReads(read)
	return cipher, plain
}

// learn adds a path to the index. If names are the same in every directory, one also decrypts
// where it does not lie, so the path has to exist.
func (l *lookup) learn(cipher, plain string) {
	if l.index != nil && (!l.files.View().Deterministic || l.files.Exists(cipher)) {
		l.index.Add(cipher, plain)
	}
}

// ask returns the exact plain path that gocryptfs has for a cipher path.
func (l *lookup) ask(cipher string, implied int) (plain string, ok bool) {
	if l.names == nil || !l.budget.has(len(cipher)/longPath) {
		return "", false
	}
	if plain, ok = l.names.Decrypt(cipher); ok && isDoubtful(plain) {
		plain, ok = l.confirm(cipher, plain, implied)
	}
	return plain, ok && l.isGenuine(cipher, plain)
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

// isDoubtful reports whether an answer may be junk: one in 280 random words of the right
// length decrypts, to random bytes. Nearly all of these hold a control character, or U+FFFD
// in place of bytes that are not UTF-8. Encrypting the answer again would prove nothing:
// names are a bijection, so whatever decrypts encrypts back.
func isDoubtful(plain string) bool {
	return strings.ContainsFunc(plain, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == utf8.RuneError })
}

// confirm returns a doubtful answer with the exact bytes of its names, if all its
// doubtful names are confirmed.
func (l *lookup) confirm(cipher, plain string, implied int) (exact string, ok bool) {
	names, below := strings.Split(cipher, "/"), false
	for i, name := range strings.Split(plain, "/") {
		exact = strings.TrimPrefix(exact+"/"+name, "/")
		if !isDoubtful(name) {
			below = below || i >= implied
			continue
		}
		if exact, ok = l.exactPath(strings.Join(names[:i+1], "/"), exact, below); !ok {
			return "", false
		}
	}
	return exact, true
}

// exactPath returns a plain path with the exact bytes of its last name, which is doubtful,
// if that is confirmed: by the index, or by an existing file. If it has no U+FFFD, its
// place in the text below a directory that decrypts without doubt confirms it, too.
func (l *lookup) exactPath(cipher, plain string, below bool) (exact string, ok bool) {
	if exact, ok = l.exact.Get(cipher); ok {
		return exact, true
	}
	if found, indexed := l.find("", cipher); found == cipher {
		return indexed, true
	}
	if !strings.ContainsRune(path.Base(plain), utf8.RuneError) {
		exact, ok = plain, below || l.files.Exists(cipher)
	} else {
		var read int // it is charged when it is known, so the credit may become negative
		exact, read, ok = l.files.Spelling(cipher, plain, l.budget.has(2))
		l.budget.chargeReads(read)
	}
	if ok {
		l.exact.Add(cipher, exact)
	}
	return exact, ok
}

// linkTarget returns the plain target of a symbolic link if text is the encrypted one, which never
// changes, so it is remembered. If a name may be the same in every directory, the link may lie in
// dir instead. To read it costs more than a question, and more the deeper it lies.
func (l *lookup) linkTarget(cipher, plain, dir string, text []byte) (target string, ok bool) {
	key := cipher + "\x00" + string(text)
	if target, ok = l.exact.Get(key); ok {
		return target, true
	}
	price := perLevel * (1 + strings.Count(cipher, "/"))
	if !l.budget.has(price) {
		return "", false
	}
	if target, ok = l.files.Target(cipher, plain, text); ok {
		l.exact.Add(key, target)
	} else if l.budget.charge(price); dir != "" && l.files.View().Deterministic {
		_, above, _ := l.decrypt("", dir, 0)
		return l.linkTarget(dir+"/"+path.Base(cipher), above+"/"+path.Base(plain), "", text)
	}
	return target, ok
}
