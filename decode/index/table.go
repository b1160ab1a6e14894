package index

import "iter"

const (
	// A table has maxSlots slots of eight bytes, at most maxUsed of them in use. Three tables
	// hold the newest 1.5 to 2.3 million names in 24 MiB.
	slotBits = 20
	maxSlots = 1 << slotBits
	maxUsed  = maxSlots / 4 * 3

	// The lower bits of a slot hold the offset of a line, plus one: up to 16 GiB.
	offsetBits = 34
	maxOffset  = 1<<offsetBits - 1
)

// A table maps the hashes of keys to the offsets of lines. A slot holds the first bits of a
// hash, where the search for it begins, too. A free slot is 0. Keys may have the same bits.
type table struct {
	slots []uint64 // nil if none is used
	used  int
}

// offsets returns the offsets that were put for this hash or for one like it.
func (t *table) offsets(hash uint64) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for i := hash >> (64 - slotBits); t.used > 0 && t.slots[i] != 0; i = (i + 1) % maxSlots {
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
