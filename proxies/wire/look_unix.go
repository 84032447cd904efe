//go:build unix

package wire

import "syscall"

// wouldBlock says whether a read of the descriptor would have to wait: neither bytes, nor the end, nor an error are there.
func wouldBlock(fd int) bool {
	var b [1]byte
	for {
		_, _, err := syscall.Recvfrom(fd, b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if err != syscall.EINTR {
			return err == syscall.EAGAIN
		}
	}
}
