package wire

import (
	"syscall"
	"unsafe"
)

// The calls on descriptors that never block, past the scheduler. p is not empty.

func rawRead(fd uintptr, p []byte) (int, error) {
	return again(func() (uintptr, syscall.Errno) {
		n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		return n, errno
	})
}

func rawWrite(fd uintptr, p []byte) (int, error) {
	return again(func() (uintptr, syscall.Errno) {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		return n, errno
	})
}

func rawPeek(fd uintptr, p []byte) (int, error) {
	return again(func() (uintptr, syscall.Errno) {
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)),
			syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
		return n, errno
	})
}

// again repeats a call that a signal interrupted. EAGAIN comes back as one value, which is no allocation.
func again(call func() (uintptr, syscall.Errno)) (int, error) {
	for {
		n, errno := call()
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EAGAIN:
			return 0, errAgain
		case syscall.EINTR:
			continue
		}
		return 0, errno
	}
}

var errAgain error = syscall.EAGAIN
