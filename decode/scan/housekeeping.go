package scan

import (
	"path"
	"strings"
)

// Housekeeping files exist only in the encrypted view.
const (
	Conf  = "gocryptfs.conf"
	dirIV = "gocryptfs.diriv"
)

// Needed returns the cipher paths of the files, other than gocryptfs.conf, that it takes to
// decrypt the names in a cipher path, in an order that rsync --files-from takes: the IV of each
// directory above, if directories have one, and the files of long names.
func Needed(cipher string, ivs bool) (files []string) {
	dir := ""
	for name := range strings.SplitSeq(cipher, "/") {
		if ivs {
			files = append(files, dir+dirIV)
		}
		if IsLong(name) {
			files = append(files, dir+name+longSuffix)
		}
		dir += name + "/"
	}
	return files
}

// IsLong reports whether a name of a cipher path stands for a long one.
func IsLong(name string) bool {
	return strings.HasPrefix(name, LongPrefix) && IsEncrypted([]byte(name))
}

// SplitHousekeeping splits the path of a directory's IV, or of the file of a long name as it is
// printed, into the path that it belongs to and the tail that gocryptfs does not encrypt.
func SplitHousekeeping(file string) (plain, tail string) {
	dir, name := path.Split(file)
	long, isLong := strings.CutPrefix(name, LongPrefix)
	long, hasSuffix := strings.CutSuffix(long, longSuffix)
	switch {
	case name == dirIV:
		return dir, "/" + dirIV
	case isLong && hasSuffix:
		return dir + long, longSuffix
	}
	return file, ""
}
