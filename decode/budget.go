package decode

import "time"

// Work is counted in questions to gocryptfs. What finds nothing is paid for with text, so
// text full of names that do not decrypt costs little: without credit, each of them is
// asked about once.
const (
	textPrice = 32   // bytes of text that earn the credit for a question
	maxCredit = 4096 // questions

	// maxRefund is the most that a token gets back when it decrypts in the end, as one does
	// after a foreign directory, in questions.
	maxRefund = 4

	// longPath is how many bytes of a path cost another question: each name takes time.
	longPath = 256

	// Random text is full of loose names, so questions about them have a credit of their own.
	// A loose name that decrypts pays for looseGain questions about others that do not.
	loosePrice = 1 << 10 // bytes of text for a question
	maxLoose   = 64 * loosePrice
	looseGain  = 4

	// perLevel is the price of reading a link, for it and for each directory above it, in
	// questions.
	perLevel = 5

	// perQuestion is the number of directory entries, and of lines of the index, that are
	// read for the price of a question.
	perQuestion = 4
)

// A budget bounds the work for a text, and the time for each of its tokens.
type budget struct {
	timeout time.Duration // for a token; none if 0
	credit  int           // in bytes of text; negative after a long listing
	loose   int           // credit for loose names, in bytes of text
	spent   int           // questions, on this token
	start   time.Time     // when the first question was charged
}

// earn adds the credit for n more bytes of text.
func (b *budget) earn(n int) {
	b.credit, b.loose = min(b.credit+n, maxCredit*textPrice), min(b.loose+n, maxLoose)
}

// questions returns the number of questions that there is credit for.
func (b *budget) questions() int { return max(0, b.credit/textPrice) }

// begin starts a new token.
func (b *budget) begin() { b.spent, b.start = 0, time.Time{} }

// has reports whether there are credit and time for n more questions about this token. The
// first one is free.
func (b *budget) has(n int) bool {
	if b.start.IsZero() {
		return n <= 1 || b.questions() >= n
	}
	return n == 0 || b.questions() >= n && (b.timeout == 0 || time.Since(b.start) < b.timeout)
}

// charge takes the price of n questions. The credit may become negative.
func (b *budget) charge(n int) {
	if b.start.IsZero() {
		b.start = time.Now()
	}
	b.credit -= n * textPrice
	b.spent += n
}

// chargeReads takes the price of n entries or lines that were read. No refund returns it.
func (b *budget) chargeReads(n int) { b.credit -= n / perQuestion * textPrice }

// refund returns what was spent on this token, because it decrypts.
func (b *budget) refund() { b.credit += min(b.spent, maxRefund) * textPrice }
