NAME    := gocryptfs-rsync-pretty
VERSION ?= $(shell .ci/version.sh)
PREFIX  ?= /usr/local
DIST    ?= dist

FUZZTIME  ?= 30s
SOAKTIME  ?= 10m
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 freebsd/amd64 freebsd/arm64
SCRIPTS   := $(wildcard .ci/run .ci/*.sh testdata/*.sh testdata/*/*.sh)

.PHONY: help build demo picture test lint fuzz soak bench install uninstall dist dist-test deps clean
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/make \1	\2/p' Makefile | expand -t 18

build: ## build the filter
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-X main.version=$(VERSION)'

demo: ## show a backup, raw and pretty, in a temporary directory
	@testdata/demo.sh

picture: ## make README's picture from the demo
	testdata/picture.sh >testdata/terminal.svg

test: deps .tools/gocryptfs ## run every test with the race detector
	go test -race -timeout 25m ./...

lint: deps .tools/staticcheck ## check code, man page and scripts, for every platform
	test -z "$$(gofmt -l . | tee /dev/stderr)"
	for p in $(PLATFORMS); do GOOS=$${p%/*} GOARCH=$${p#*/} CGO_ENABLED=0 go vet -trimpath ./... || exit; done
	.tools/staticcheck ./...
	shellcheck -x $(SCRIPTS)
	mandoc -Tlint $(NAME).1 2>/dev/null # findings go to stdout; stderr is about the system's index

fuzz: ## fuzz each target for FUZZTIME
	for f in decode/FuzzCut decode/FuzzPassThrough decode/tree/FuzzTree ctlsock/FuzzUnmarshal ctlsock/FuzzQuestion; do \
		go test -run '^$$' -fuzz "^$${f##*/}$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 0 ./$${f%/*} || exit; done

soak: .tools/gocryptfs ## compare each line with the truth for SOAKTIME, under changes
	SOAKTIME=$(SOAKTIME) go test -count=1 -timeout 0 -run '^TestSoak$$' -v .

bench: .tools/gocryptfs ## measure: each part, then whole runs as a table
	go test -run '^$$' -bench . -benchmem ./...
	GRP_BENCH=1 go test -count=1 -timeout 60m -run '^TestBench' -v ./decode .

install: $(NAME) ## install into PREFIX, below DESTDIR
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 755 $(NAME) $(DESTDIR)$(PREFIX)/bin/
	install -m 644 $(NAME).1 $(DESTDIR)$(PREFIX)/share/man/man1/

uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(PREFIX)/bin/$(NAME) $(DESTDIR)$(PREFIX)/share/man/man1/$(NAME).1

dist: .tools/nfpm ## make archives, .deb, .rpm and checksums in DIST
	@.ci/dist.sh '$(VERSION)' '$(DIST)' $(PLATFORMS)

dist-test: deps .tools/nfpm ## check that dist repeats byte for byte and the .deb works
	@.ci/dist-test.sh

deps: ## install the missing programs that demo, test and lint need
	@.ci/deps.sh rsync fusermount3 gocryptfs gcc mandoc shellcheck zsh sshfs sftp-server

clean: ## remove what was built
	rm -rf $(NAME) $(DIST) .tools

# After `make build`, `sudo make install` needs no Go.
$(NAME): go.mod $(wildcard *.go */*.go */*/*.go)
	$(MAKE) build

.tools/gocryptfs .tools/gocryptfs-xray: .ci/gocryptfs.mod
	CGO_ENABLED=0 go build -modfile=$< -o .tools/ -trimpath -tags without_openssl tool

.tools/staticcheck: .ci/tools.mod
	go build -modfile=$< -o .tools/ honnef.co/go/tools/cmd/staticcheck

.tools/nfpm: .ci/tools.mod
	go build -modfile=$< -o .tools/ github.com/goreleaser/nfpm/v2/cmd/nfpm
