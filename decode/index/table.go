package index

import "iter"

const (
	// A table has maxSlots slots of eight bytes, at most maxUsed of them in use. With three
	// tables, at least the newest one and a half million names count, at most 2.3 million, in
	// 24 MiB. Of a table with few names, little is ever touched.
	slotBits = 20
	maxSlots = 1 << slotBits
	maxUsed  = maxSlots / 4 * 3

	// The lower bits of a slot hold the offset of a line in the file, plus one. They
	// suffice for files of up to 16 GiB.
	offsetBits = 34
	maxOffset  = 1<<offsetBits - 1
)

// A table maps the hashes of keys to the offsets of lines. A slot holds the first
// bits of a hash, which also determine where the search for it begins, and the offset
// plus one. A free slot is 0. Different keys may have the same bits.
type table struct {
	slots []uint64 // nil if none is used
	used  int
}

// offsets returns the offsets that were put for this hash or for one like it.
func (t *table) offsets(hash uint64) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		if t.used == 0 {
			return
		}
		for i := hash >> (64 - slotBits); t.slots[i] != 0; i = (i + 1) % maxSlots {
			if t.slots[i]>>offsetBits == hash>>offsetBits && !yield(int64(t.slots[i]&maxOffset)-1) {
				return
			}
		}
	}
}

func (t *table) insert(hash uint64, at int64) {
	if t.used == 0 {
		t.slots = make([]uint64, maxSlots)
	}
	i := hash >> (64 - slotBits)
	for t.slots[i] != 0 {
		i = (i + 1) % maxSlots
	}
	t.slots[i] = hash>>offsetBits<<offsetBits | uint64(at+1)
	t.used++
}
