module gocryptfs-rsync-pretty

go 1.25.0

require (
	github.com/hashicorp/golang-lru/v2 v2.0.7
	github.com/mattn/go-isatty v0.0.24
	github.com/moby/sys/mountinfo v0.7.3
	github.com/rfjakob/gocryptfs/v2 v2.6.1
	golang.org/x/sys v0.30.0
)

require golang.org/x/tools v0.26.0 // indirect

// Used by tests only.
require (
	github.com/google/go-cmp v0.7.0
	github.com/hanwen/go-fuse/v2 v2.8.0
	github.com/rogpeppe/go-internal v1.16.0
)
