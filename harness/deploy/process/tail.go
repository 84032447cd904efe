package process

import (
	"io"
	"os"
	"strings"
)

// Bounds of what is shown of a log: enough for a Go panic's first goroutine, little enough for a record.
const (
	tailLines = 20
	tailBytes = 8 << 10
)

// tail returns the last lines of a file, none where it cannot be read.
func tail(file string) []string {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil
	}
	from := max(0, size-tailBytes)
	text := make([]byte, size-from)
	n, _ := f.ReadAt(text, from)
	return lastLines(string(text[:n]), from > 0)
}

// lastLines splits text; where it was cut from something longer its first line is incomplete and left out.
func lastLines(text string, cut bool) []string {
	text = strings.TrimRight(text, "\n")
	if text == "" {
		return nil
	}
	all := strings.Split(text, "\n")
	if cut && len(all) > 1 {
		all = all[1:]
	}
	return all[max(0, len(all)-tailLines):]
}
