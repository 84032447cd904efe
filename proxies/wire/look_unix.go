//go:build unix

package wire

import "syscall"

// wouldBlock says whether a read of the descriptor would have to wait: neither bytes, nor the end, nor an error are there.
func wouldBlock(fd uintptr) bool {
	var b [1]byte
	_, err := peekSocket(fd, b[:])
	return err == syscall.EAGAIN
}
