package decode

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"gocryptfs-rsync-pretty/decode/scan"
)

// TestIndexed shows names that the text does not place, in the words of programs that print
// them so, with a server and without. {A}, {B} and {C} are names of one path.
func TestIndexed(t *testing.T) {
	const encD, text = "ZkFrxDZ5DfCpwm4Myx-3TA", encA + "/" + encB + "/" + encC + "\ta/b/c d\n"
	plain := strings.NewReplacer("{A}", "a", "{B}", "b", "{C}", "c d")
	cipher := strings.NewReplacer("{A}", encA, "{B}", encB, "{C}", encC)
	for about, form := range map[string]string{
		"tree":           ".\n└── {A}\n    └── {B}\n        └── {C}\n",
		"ls":             "{C}\n",
		"ls of two":      "{B}:\n{C}\n",
		"temp-dir":       ">f+++++++++ .{C}.Xa81bQ\n",
		"strace":         "openat(5, \"{C}\", O_RDONLY|O_NOFOLLOW) = 6\n",
		"namei":          "drwxr-xr-x {A}\n  drwxr-xr-x {B}\n    -rw-r--r-- {C}\n",
		"restic ls":      `{"name":"{C}","type":"file","path":"/snapshot/{A}/{B}/{C}"}` + "\n",
		"restic, a part": `{"name":"{C}","path":"/{B}/{C}"}` + "\n",
		"a mail":         "Hi, what is {C}? It lies in lost+found.\n",
		"a trash can":    "/home/me/.Trash/{B}/{C}\n",
		"a new name":     "{B}/{C}/TheQuickBrownFoxJumpsg\n",
		"no path":        "TheQuickBrownFoxJumpsg/{A}/{B}\n",
	} {
		questions := []string{}
		ask := namesFunc(func(cipher string) (string, bool) {
			questions = append(questions, cipher)
			return "", false
		})
		for _, names := range []Names{nil, ask} {
			var out strings.Builder
			stats, err := Copy(&out, strings.NewReader(cipher.Replace(form)), Options{Names: names, Index: openIndex(t, text)})
			if want := plain.Replace(form); err != nil || out.String() != want {
				t.Errorf("%s: %v, got %q, want %q", about, err, out.String(), want)
			}
			if stats.Indexed == 0 {
				t.Errorf("%s: no answers from the index", about)
			}
		}
		for _, q := range questions {
			if !strings.Contains(q, "Fox") {
				t.Errorf("%s: asked for %s, which is known", about, q)
			}
		}
	}
	// Names of different lines are no path: only the first part decrypts. A new name lies
	// below a directory that the index alone can place, or whose bytes it alone knows.
	for in, want := range map[string]string{
		encC + "/" + encB + "\n" + encB + "\n":                     "c d/" + encB + "\nb\n",
		encB + "/TheQuickBrownFoxJumpsg\nTheQuickBrownFoxJumpsg\n": "b/new\nnew\n",
		encD + "/TheQuickBrownFoxJumpsg\n":                         `J\#344/new` + "\n",
	} {
		names := paths{encA + "/" + encB + "/TheQuickBrownFoxJumpsg": "a/b/new", encD + "/TheQuickBrownFoxJumpsg": "J\ufffd/new"}
		wantSame(t, in, want, copyAll(t, strings.NewReader(in), Options{Names: names, Index: openIndex(t, text+encD+"\tJ\\#344\n")}))
	}
}

// TestIndexedOdd decodes text whose names lead to long lines of an index, of which most are
// broken. It took 5 to 200 s for a megabyte.
func TestIndexedOdd(t *testing.T) {
	var b, text strings.Builder
	dirs, plain := strings.Repeat(encA+"/", 110), strings.Repeat(strings.Repeat(`\#012`, 45)+"/", 110)
	for i := range 8 {
		fmt.Fprintf(&b, "%s%s\t%s%s\n%s%021dA\t%sgood\n", dirs, encB, plain, strings.Repeat("x", 300), dirs, i, plain)
	}
	b.WriteString(encC + "\tc\n")
	for text.Len() < 1<<18 {
		fmt.Fprintf(&text, "%s %s %s/%s\n", encA, encB, encA, encB)
	}
	start := time.Now()
	stats, err := Copy(io.Discard, strings.NewReader(text.String()), Options{Index: openIndex(t, b.String())})
	if spent := time.Since(start); err != nil || spent > 10*time.Second || stats.Indexed == 0 {
		t.Errorf("%v, %v, %d answers", err, spent, stats.Indexed)
	}
}

// An alike is a view where names are the same in every directory. MOUNT lies inside it, at encA.
type alike struct {
	noFiles
	exists bool     // it has all files
	looks  []string // at links
}

func (a *alike) View() View { return View{Sub: encA, Reverse: true, Deterministic: true} }

func (a *alike) Exists(string) bool { return a.exists }

func (a *alike) Target(cipher, plain string, _ []byte) (string, bool) {
	a.looks = append(a.looks, cipher+" "+plain)
	return "target", true
}

// TestIndexedAlike checks that a name that the index has in another directory stands for the
// file in this one, and is added for this one if that exists.
func TestIndexedAlike(t *testing.T) {
	names := paths{encB: "b", encA + "/" + encB: "a/b"}
	for _, exists := range []bool{false, true} {
		view, x := &alike{exists: exists}, openIndex(t, encC+"/"+encB+"\tc/b\n")
		text := encB + " -> " + strings.Repeat("Q", 44)
		wantSame(t, text, "b -> target", copyAll(t, strings.NewReader(text), Options{Names: names, Files: view, Index: x}))
		if got := strings.Join(view.looks, ", "); got != encA+"/"+encB+" a/b" {
			t.Errorf("looked at %s", got)
		}
		if cipher, _, _ := x.Find(encA+"/", encB, 100); cipher == encA+"/"+encB != exists {
			t.Errorf("%s is added: %v", cipher, !exists)
		}
	}
}

// A forward is a view in forward mode that encrypts the one path first/file.
type forward struct{ namesFunc }

func (forward) Encrypt(plain string) (string, bool) {
	return scan.LongPrefix + strings.Repeat("A", 43) + "/" + encB, plain == "first/file"
}

// TestGenuine has the storage exchange the files of two long names after one was right.
func TestGenuine(t *testing.T) {
	answer := "first/file"
	names := forward{func(cipher string) (plain string, ok bool) {
		if ok = strings.Contains(cipher, "/"); ok {
			plain, answer = answer, "second/file"
		}
		return plain, ok
	}}
	path, _ := names.Encrypt("first/file")
	text := strings.Repeat(path+"\n", 3)
	want := strings.Replace(text, path, "first/file", 1)
	wantSame(t, "exchanged", want, copyAll(t, strings.NewReader(text), Options{Names: names}))
}
