package decode

import "time"

// Work that finds nothing is paid for with text: price bytes of it for a failed question
// of up to longPath bytes. Text earns credit up to maxCredit. Without credit, a token that
// does not decrypt at once is not asked about again. So text full of such tokens costs
// little.
const (
	price     = 32
	longPath  = 256
	maxCredit = 128 << 10

	// maxRefund is the most credit that a token gets back when it decrypts in the end, as
	// one does after a foreign directory.
	maxRefund = 4 * price

	// A look at a link that proves nothing takes as much as perLook questions, for it and
	// for each directory above it, and one at a directory a question for perQuestion entries.
	// So does the index for perQuestion lines that it reads.
	perLook     = 5
	perQuestion = 4
)

// A budget bounds the work for a text, and the time for each of its tokens.
type budget struct {
	timeout time.Duration // for a token; none if 0
	credit  int           // in bytes of text; negative after a long listing
	spent   int           // of the credit, on this token
	start   time.Time     // when this token first needed more than one question
}

// earn adds the credit for n more bytes of text.
func (b *budget) earn(n int) { b.credit = min(b.credit+n, maxCredit) }

// begin starts a new token.
func (b *budget) begin() { b.spent, b.start = 0, time.Time{} }

// more reports whether more may be done for this token.
func (b *budget) more() bool {
	if b.start.IsZero() {
		b.start = time.Now()
	}
	return b.affords(1) && (b.timeout == 0 || time.Since(b.start) < b.timeout)
}

// allows reports whether the first question about a token may be asked: always, unless it
// is long. Each name of its path costs gocryptfs time.
func (b *budget) allows(path string) bool {
	return len(path) < longPath || b.affords(len(path)/longPath)
}

// affords reports whether there is credit for n questions.
func (b *budget) affords(n int) bool { return b.credit >= n*price }

// reads returns the number of lines of the index that may be read at once.
func (b *budget) reads() int { return max(perQuestion-1, b.credit/price*perQuestion) }

// fail pays for a question that failed, as far as there is credit.
func (b *budget) fail(path string) {
	cost := max(0, min(b.credit, price+price*len(path)/longPath))
	b.credit -= cost
	b.spent += cost
}

// pay takes the price of n questions, on credit if need be.
func (b *budget) pay(n int) { b.credit -= n * price }

// refund returns what was spent on this token, because it decrypts.
func (b *budget) refund() {
	b.credit += min(b.spent, maxRefund)
	b.spent = 0
}
