package strict

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// UnmarshalJSON reads an object, in its order. A key that stands twice is an error.
func (m *Map[T]) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return fmt.Errorf("%s is no object", text)
	}
	m.Clear()
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		name, _ := key.(string)
		if _, twice := m.Get(name); twice {
			return fmt.Errorf("key %q stands twice", name)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		var v T
		inner := json.NewDecoder(bytes.NewReader(value))
		inner.DisallowUnknownFields()
		if err := inner.Decode(&v); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		m.Set(name, v)
	}
	return nil
}
