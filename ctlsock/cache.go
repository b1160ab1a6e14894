package ctlsock

import "strings"

const (
	// The cache holds at most cacheEntries answers of at most cacheBytes each
	// (both paths together): 2 MiB if all are that long.
	cacheEntries = 2048
	cacheBytes   = 1024
)

// learn caches an answer, unless it is too long. From a plain path it also learns
// the answers for the parents.
func (c *Client) learn(cipher string, a answer) {
	for {
		if len(cipher)+len(a.plain) <= cacheBytes {
			c.cache.Add(cipher, a)
		}
		i, j := strings.LastIndexByte(cipher, '/'), strings.LastIndexByte(a.plain, '/')
		if !a.ok || i < 0 {
			return
		}
		if c.cache.Contains(cipher[:i]) {
			return // and so are the other parents
		}
		// Without a copy, the parent would keep the whole path in memory.
		cipher, a.plain = strings.Clone(cipher[:i]), strings.Clone(a.plain[:j])
	}
}
