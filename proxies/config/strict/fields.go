package strict

import (
	"reflect"
	"strings"
	"sync"
)

// fields are the keys of a struct, by field; "" for a field that no file writes.
type fields []string

var fieldCache sync.Map // reflect.Type -> fields

func fieldsOf(t reflect.Type) fields {
	if known, ok := fieldCache.Load(t); ok {
		return known.(fields)
	}
	made := make(fields, t.NumField())
	for i := range made {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if f.IsExported() && name != "-" {
			made[i] = name
		}
	}
	fieldCache.Store(t, made)
	return made
}

func (f fields) index(key string) int {
	for i, name := range f {
		if name == key && name != "" {
			return i
		}
	}
	return -1
}

func (f fields) names() []string {
	var names []string
	for _, name := range f {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

// fillDefaults sets the defaults of a value that is zero, inner structs first, so that the outer one has the last word. What holds
// something already was filled in by the caller and stays.
func fillDefaults(v reflect.Value) {
	if v.Kind() != reflect.Struct {
		if s, ok := v.Addr().Interface().(Defaulter); ok && v.IsZero() {
			s.SetDefaults()
		}
		return
	}
	zero := v.IsZero()
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() && v.Field(i).Kind() == reflect.Struct {
			fillDefaults(v.Field(i))
		}
	}
	if s, ok := v.Addr().Interface().(Defaulter); ok && zero {
		s.SetDefaults()
	}
}
