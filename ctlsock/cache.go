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
type cache struct{ *lru.LRU[question, answer] }

func newCache() cache {
	l, _ := lru.NewLRU[question, answer](cacheEntries, nil) // fails only if the size is below one
	return cache{l}
}

// learn stores an answer, unless it is too long. A path also gives the answers for its
// parents.
func (c cache) learn(q question, a answer) {
	for {
		if len(q.path)+len(a.path) <= cacheBytes {
			c.Add(q, a)
		}
		i, j := strings.LastIndexByte(q.path, '/'), strings.LastIndexByte(a.path, '/')
		if !a.ok || i < 0 {
			return
		}
		if c.Contains(question{q.path[:i], q.encrypt}) {
			return // and so are the other parents
		}
		// Without a copy, the parent would keep the whole path in memory.
		q.path, a.path = strings.Clone(q.path[:i]), strings.Clone(a.path[:j])
	}
}
