package ctlsock

import (
	"strings"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
)

// The cache is bounded in answers and in bytes of their paths. It has room for the answers
// to three windows, two under way and one that is being taken, and for what these teach: a
// path and its answer take at most 20 KB (U+FFFD has three bytes), and those of up to
// learnBytes have at most 40 parents.
const (
	cacheEntries = 4096
	cacheBytes   = 4 << 20
	learnBytes   = 1024
)

// A cache remembers answers, failures too.
type cache struct {
	lru   *lru.LRU[question, answer]
	bytes int
}

func newCache() *cache {
	c := new(cache)
	c.lru, _ = lru.NewLRU(cacheEntries, func(q question, a answer) { // fails only if the size is below one
		c.bytes -= len(q.path) + len(a.path)
	})
	return c
}

// learn stores an answer in the place of the oldest ones. A path also gives the answers for
// its parents.
func (c *cache) learn(q question, a answer) {
	for whole := true; !c.lru.Contains(q); whole = false { // if it is there, so are its parents
		if !whole { // a part would keep the whole path in memory
			q.path, a.path = strings.Clone(q.path), strings.Clone(a.path)
		}
		if size := len(q.path) + len(a.path); whole || size <= learnBytes {
			c.bytes += size
			c.lru.Add(q, a)
		}
		for c.bytes > cacheBytes {
			c.lru.RemoveOldest()
		}
		i, j := strings.LastIndexByte(q.path, '/'), strings.LastIndexByte(a.path, '/')
		if !a.ok || i < 0 {
			return
		}
		q.path, a.path = q.path[:i], a.path[:j]
	}
}
