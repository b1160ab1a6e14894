package index

import "iter"

const (
	// A table has up to maxSlots slots of eight bytes, at most maxUsed of them in use. With
	// three tables, at least the newest one and a half million names count, at most 2.3
	// million, in 24 MiB.
	minSlots = 1 << 12
	maxSlots = 1 << 20
	maxUsed  = maxSlots / 4 * 3

	// The lower bits of a slot hold the offset of a line in the file, plus one. They
	// suffice for files of up to 16 GiB.
	offsetBits = 34
)

// A table maps the hashes of keys to the offsets of lines. A slot holds the first
// bits of a hash, which also determine where the search for it begins, and the offset
// plus one. A free slot is 0. Different keys may have the same bits.
type table struct {
	slots []uint64
	used  int
}

// offsets returns the offsets that were put for this hash or for one like it.
func (t *table) offsets(hash uint64) iter.Seq[int64] {
	return func(yield func(int64) bool) {
		if t.used == 0 {
			return
		}
		for i := t.home(hash); t.slots[i] != 0; i = (i + 1) % len(t.slots) {
			slot := t.slots[i]
			if slot>>offsetBits == hash>>offsetBits && !yield(offset(slot)) {
				return
			}
		}
	}
}

func offset(slot uint64) int64 { return int64(slot&(1<<offsetBits-1)) - 1 }

// home returns the index of the slot where the search for a hash begins.
func (t *table) home(hash uint64) int {
	return int(hash >> offsetBits * uint64(len(t.slots)) >> (64 - offsetBits))
}

func (t *table) insert(hash uint64, at int64) {
	if t.used >= len(t.slots)/4*3 {
		larger := table{slots: make([]uint64, max(2*len(t.slots), minSlots))}
		for _, slot := range t.slots {
			if slot != 0 {
				larger.insert(slot, offset(slot))
			}
		}
		*t = larger
	}
	i := t.home(hash)
	for t.slots[i] != 0 {
		i = (i + 1) % len(t.slots)
	}
	t.slots[i] = hash>>offsetBits<<offsetBits | uint64(at+1)
	t.used++
}
