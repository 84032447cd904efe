package results

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// A journal is an append-only file of checked lines:
//
//	{"crc":"5d3e1f00","trial":{...}}
//
// crc is the CRC-32C (Castagnoli) of the bytes of the value behind the second key, in hexadecimal. A line counts from the moment
// it verifies, so a line cut short by a crash is seen as such and never read as a record.
type journal struct {
	path   string
	key    string
	file   appendFile
	size   int64 // up to here every byte belongs to a whole line
	cut    int64 // bytes of a torn line that were taken off when the file was opened
	broken error // an earlier failure left bytes behind that could not be taken back
	open   func(path string) (appendFile, error)
}

// appendFile is what a journal needs of a file; a test puts a full disk in its place.
type appendFile interface {
	io.Writer
	Sync() error
	Truncate(size int64) error
	Close() error
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// FullDisk says that a record could not be written because the file system, or the quota, is full. What was written before it is
// intact and readable.
type FullDisk struct {
	Path string
	Err  error
}

func (e *FullDisk) Error() string {
	return fmt.Sprintf("no space left to write %s; what was written before is intact", e.Path)
}

func (e *FullDisk) Unwrap() error { return e.Err }

// full turns "no space" into a FullDisk and leaves other errors as they are.
func full(path string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &FullDisk{Path: path, Err: err}
	}
	return err
}

// frame is what stands before the value in its line.
func frame(key string, value []byte) []byte {
	return fmt.Appendf(nil, `{"crc":"%08x",%q:`, crc32.Checksum(value, castagnoli), key)
}

// seal makes the line of one value.
func seal(key string, v any) ([]byte, error) {
	value, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding a %s: %w", key, err)
	}
	return slices.Concat(frame(key, value), value, []byte("}\n")), nil
}

// unseal returns the value of one line without its newline, or why it is not a whole line.
func unseal(key string, line []byte) ([]byte, error) {
	start := len(frame(key, nil))
	if len(line) <= start || line[len(line)-1] != '}' {
		return nil, errors.New("not a whole record")
	}
	value := line[start : len(line)-1]
	if !bytes.HasPrefix(line, frame(key, value)) {
		return nil, errors.New("its checksum does not hold")
	}
	return value, nil
}

// read calls each with the value of every whole line, in order, and returns a warning for every line that is not.
func (j *journal) read(each func(line int, value []byte) error) ([]Warning, error) {
	f, err := os.Open(j.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var warnings []Warning
	name := filepath.Base(j.path)
	in := bufio.NewReaderSize(f, 1<<16)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return warnings, fmt.Errorf("reading %s: %w", j.path, err)
		}
		if len(line) == 0 {
			return warnings, nil
		}
		_, peek := in.Peek(1)
		last := peek == io.EOF
		value, bad := unseal(j.key, bytes.TrimSuffix(line, []byte("\n")))
		switch {
		case bad == nil:
			if err := each(n, value); err != nil {
				return warnings, fmt.Errorf("%s:%d: %w", j.path, n, err)
			}
		case last:
			warnings = append(warnings, Warning{Torn, name, n,
				fmt.Sprintf("the last line was cut short or damaged and is skipped (%v)", bad)})
		default:
			warnings = append(warnings, Warning{Corrupt, name, n,
				fmt.Sprintf("DAMAGED in the middle of the file, its %s is lost (%v)", j.key, bad)})
		}
		if last {
			return warnings, nil
		}
	}
}

// append writes one value as one line and syncs it. Where that fails the file is cut back to what it was, so that the next line
// is not glued to a piece of this one.
func (j *journal) append(v any) error {
	if j.broken != nil {
		return fmt.Errorf("%s takes no more records: %w", j.path, j.broken)
	}
	line, err := seal(j.key, v)
	if err != nil {
		return err
	}
	if err := j.start(); err != nil {
		return err
	}
	_, err = j.file.Write(line)
	if err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		if back := j.file.Truncate(j.size); back != nil {
			j.broken = errors.Join(err, back)
		}
		return full(j.path, fmt.Errorf("writing a %s: %w", j.key, err))
	}
	j.size += int64(len(line))
	return nil
}

// start opens the file for appending, once: it must not belong to another process, and a torn last line is taken off.
func (j *journal) start() error {
	if j.file != nil {
		return nil
	}
	whole, lacksNewline, total, err := wholeLines(j.path, j.key)
	if err != nil {
		return err
	}
	open := j.open
	if open == nil {
		open = openLocked
	}
	f, err := open(j.path)
	if err != nil {
		return err
	}
	if whole < total {
		if err := f.Truncate(whole); err != nil {
			f.Close()
			return fmt.Errorf("taking the torn last line off %s: %w", j.path, err)
		}
	}
	if lacksNewline {
		if _, err := f.Write([]byte("\n")); err != nil {
			f.Close()
			return full(j.path, fmt.Errorf("ending the last line: %w", err))
		}
		whole++
	}
	j.file, j.size, j.cut = f, whole, total-min(whole, total)
	return nil
}

func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}

// openLocked opens for appending and takes the advisory lock that keeps a second writer out. The kernel lets go of it when the
// process ends, however it ends.
func openLocked(path string) (appendFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: another process is writing this run", path)
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return f, nil
}

// wholeLines says where the last whole line ends. A last line that verifies and only lacks its newline is whole. A damaged line
// that has its newline stays: nothing can be glued to it, and it is evidence.
func wholeLines(path, key string) (whole int64, lacksNewline bool, total int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false, 0, err
	}
	defer f.Close()
	in := bufio.NewReaderSize(f, 1<<16)
	for {
		line, err := in.ReadBytes('\n')
		total += int64(len(line))
		switch {
		case err == nil:
			whole = total
		case err != io.EOF:
			return 0, false, 0, fmt.Errorf("reading %s: %w", path, err)
		case len(line) == 0:
			return whole, false, total, nil
		default:
			if _, bad := unseal(key, line); bad == nil {
				return total, true, total, nil
			}
			return whole, false, total, nil
		}
	}
}
