package decode

import "testing"

// TestHideMeta hides records, and the progress that follows them.
func TestHideMeta(t *testing.T) {
	for _, f := range texts("hidden") {
		checkCuts(t, f.line, f.want, Options{Names: paths{encA: "gocryptfs.conf"}, HideMeta: true})
	}
}

// TestColor lays on color, but within no control string.
func TestColor(t *testing.T) {
	for _, f := range texts("colored") {
		checkCuts(t, f.line, f.want, Options{Names: paths{}, Color: true})
	}
}
