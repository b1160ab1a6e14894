package scan

import (
	"path"
	"strings"
)

// Housekeeping files exist only in the encrypted view.
const (
	Conf       = "gocryptfs.conf"
	LongSuffix = ".name" // of the file that stores a long name
	dirIV      = "gocryptfs.diriv"
)

// Needed returns the cipher paths of what it takes, besides gocryptfs.conf, to decrypt the names in a
// cipher path: the IVs of directories, if they have any, and long names, as rsync --files-from takes them.
func Needed(cipher string, ivs bool) (files []string) {
	dir := ""
	for name := range strings.SplitSeq(cipher, "/") {
		if ivs {
			files = append(files, dir+dirIV)
		}
		if IsLong(name) {
			files = append(files, dir+name+LongSuffix)
		}
		dir += name + "/"
	}
	return files
}

// IsLong reports whether a name of a cipher path stands for a long one.
func IsLong(name string) bool {
	return strings.HasPrefix(name, LongPrefix) && IsEncrypted([]byte(name))
}

// SplitPrinted splits a path as it is printed into a plain path and what a housekeeping file has after
// its cipher path. The target of a link is left out. only is false if all of it may be a plain path.
func SplitPrinted(file string) (plain, tail string, only bool) {
	dir, name := path.Split(file)
	long, isLong := strings.CutPrefix(name, LongPrefix)
	long, hasSuffix := strings.CutSuffix(long, LongSuffix)
	link, _, isLink := strings.Cut(file, " -> ")
	switch {
	case file == Conf || file == ".gocryptfs.reverse.conf":
		return "", "/" + Conf, file != Conf
	case name == dirIV:
		return path.Clean("/" + dir)[1:], "/" + dirIV, false
	case isLong && hasSuffix && !IsLong(LongPrefix+long): // that would be a plain name
		return dir + long, LongSuffix, true
	}
	return link, "", !isLink
}
