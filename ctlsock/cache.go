package ctlsock

import (
	"strings"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
)

// The cache holds at most cacheEntries answers of at most cacheBytes each
// (both paths together): 2 MiB if all are that long.
const (
	cacheEntries = 2048
	cacheBytes   = 1024
)

// A cache remembers answers, failures too.
type cache struct{ *lru.LRU[string, answer] }

func newCache() cache {
	l, err := lru.NewLRU[string, answer](cacheEntries, nil)
	if err != nil {
		panic(err) // only if the size is below one
	}
	return cache{l}
}

// learn stores an answer, unless it is too long. A plain path also gives the answers
// for the parents.
func (c cache) learn(cipher string, a answer) {
	for {
		if len(cipher)+len(a.plain) <= cacheBytes {
			c.Add(cipher, a)
		}
		i, j := strings.LastIndexByte(cipher, '/'), strings.LastIndexByte(a.plain, '/')
		if !a.ok || i < 0 {
			return
		}
		if c.Contains(cipher[:i]) {
			return // and so are the other parents
		}
		// Without a copy, the parent would keep the whole path in memory.
		cipher, a.plain = strings.Clone(cipher[:i]), strings.Clone(a.plain[:j])
	}
}
