package wire

import (
	"math/bits"
	"sync"
)

// Buffers come in powers of two from 4 KiB to 1 MiB, pooled by size: a connection holds one only while it has something to read.
const (
	minSlabBits = 12
	maxSlabBits = 20
)

var slabs [maxSlabBits - minSlabBits + 1]sync.Pool // of *[]byte

// slab returns a buffer of at least size bytes.
func slab(size int) *[]byte {
	i := slabClass(size)
	if i >= len(slabs) {
		b := make([]byte, size)
		return &b
	}
	if s, ok := slabs[i].Get().(*[]byte); ok {
		return s
	}
	b := make([]byte, 1<<(i+minSlabBits))
	return &b
}

func freeSlab(s *[]byte) {
	*s = (*s)[:cap(*s)]
	if i := slabClass(len(*s)); i < len(slabs) && len(*s) == 1<<(i+minSlabBits) {
		slabs[i].Put(s)
	}
}

func slabClass(size int) int {
	return max(bits.Len(uint(max(size, 1)-1))-minSlabBits, 0)
}

// Buffer is a pooled run of bytes for writing messages.
type Buffer struct {
	B []byte
	s *[]byte
}

// Take makes sure that the buffer can be appended to without allocating at first.
func (b *Buffer) Take() { b.TakeSize(1 << minSlabBits) }

// TakeSize is Take for at least size bytes.
func (b *Buffer) TakeSize(size int) {
	if b.s != nil && len(*b.s) < size {
		b.Give()
	}
	if b.s == nil {
		b.s = slab(size)
	}
	b.B = (*b.s)[:0]
}

// Give returns the memory to the pool; what grew beyond the pooled sizes goes to the garbage collector.
func (b *Buffer) Give() {
	if b.s != nil {
		if cap(b.B) > cap(*b.s) {
			*b.s = b.B
		}
		freeSlab(b.s)
		b.s, b.B = nil, nil
	}
}
