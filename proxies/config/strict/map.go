package strict

import (
	"bytes"
	"encoding/json"
	"iter"
)

// Map is a mapping that keeps the order of its file. The zero value is empty and ready to use.
type Map[T any] struct {
	keys   []string
	values map[string]T
}

// Set adds key at the end, or replaces its value where it stands.
func (m *Map[T]) Set(key string, value T) {
	if m.values == nil {
		m.values = map[string]T{}
	}
	if _, known := m.values[key]; !known {
		m.keys = append(m.keys, key)
	}
	m.values[key] = value
}

// Get returns the value of key and whether it is there.
func (m Map[T]) Get(key string) (T, bool) { v, ok := m.values[key]; return v, ok }

// At returns the value of key, or the zero value.
func (m Map[T]) At(key string) T { return m.values[key] }

// Keys returns the keys in order. The caller may not change them.
func (m Map[T]) Keys() []string { return m.keys }

// Len returns the number of keys.
func (m Map[T]) Len() int { return len(m.keys) }

// All walks the entries in order.
func (m Map[T]) All() iter.Seq2[string, T] {
	return func(yield func(string, T) bool) {
		for _, k := range m.keys {
			if !yield(k, m.values[k]) {
				return
			}
		}
	}
}

// mapping is what a Map shows to the decoder and the encoder, whatever its values are.
type mapping interface {
	decodeEntry(key string, decode func(into any))
	entries() iter.Seq2[string, any]
}

// decodeEntry decodes over the value that key has, or over a new one.
func (m *Map[T]) decodeEntry(key string, decode func(into any)) {
	value := m.values[key]
	decode(&value)
	m.Set(key, value)
}

func (m *Map[T]) entries() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for k, v := range m.All() {
			if !yield(k, &v) {
				return
			}
		}
	}
}

// MarshalJSON writes an object whose keys stand in order.
func (m Map[T]) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, k := range m.keys {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(k)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.values[k])
		if err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Clear removes every key. Copies made before keep theirs.
func (m *Map[T]) Clear() { m.keys, m.values = nil, nil }
