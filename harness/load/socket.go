package load

import (
	"fmt"
	"net"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The native driver makes its system calls raw: the scheduler is not told, so the worker keeps its thread and its P and nothing
// is woken on its behalf. Go rounds idle sleeps below a millisecond up to one; epoll_pwait2 with a timer slack of 1 ns does not.
// A raw call that blocks would hold up a stop of the world until it returns; the runtime's preemption signal ends it early (EINTR),
// and the driver's process collects no garbage while it measures.

// poller is one epoll instance.
type poller struct {
	fd     int
	wake   int // an eventfd that ends a wait
	events []unix.EpollEvent
}

const wakeTag = -1

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll_create1: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	p := &poller{fd: fd, wake: wake, events: make([]unix.EpollEvent, 128)}
	if err := p.add(wake, unix.EPOLLIN, wakeTag, 0); err != nil {
		p.close()
		return nil, fmt.Errorf("epoll_ctl: %w", err)
	}
	return p, nil
}

func (p *poller) close() {
	unix.Close(p.wake)
	unix.Close(p.fd)
}

// interrupt ends the present or the next wait; it may be called from any goroutine.
func (p *poller) interrupt() {
	one := [8]byte{1}
	_, _ = unix.Write(p.wake, one[:]) // fails only when a wake-up is already pending
}

// heard takes an interruption back, so that it does not end the waits to come as well.
func (p *poller) heard() {
	var count [8]byte
	_, _ = readSocket(p.wake, count[:]) // fails only where there is none
}

func (p *poller) add(fd int, events uint32, tag, generation int32) error {
	return p.control(unix.EPOLL_CTL_ADD, fd, events, tag, generation)
}

func (p *poller) change(fd int, events uint32, tag, generation int32) error {
	return p.control(unix.EPOLL_CTL_MOD, fd, events, tag, generation)
}

func (p *poller) remove(fd int) error { return p.control(unix.EPOLL_CTL_DEL, fd, 0, 0, 0) }

func (p *poller) control(op, fd int, events uint32, tag, generation int32) error {
	e := unix.EpollEvent{Events: events, Fd: tag, Pad: generation}
	_, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_CTL, uintptr(p.fd), uintptr(op), uintptr(fd), uintptr(unsafe.Pointer(&e)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// wait returns the events that are there, or come within d. A d of zero or less looks only.
func (p *poller) wait(d time.Duration) []unix.EpollEvent {
	timeout := unix.NsecToTimespec(max(0, int64(d)))
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT2, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])), uintptr(len(p.events)),
		uintptr(unsafe.Pointer(&timeout)), 0, 0)
	if errno != 0 { // EINTR
		return nil
	}
	return p.events[:n]
}

// nap sleeps for d nanoseconds whatever happens, or until a signal.
func nap(d int64) {
	t := unix.NsecToTimespec(d)
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}

// dial starts a connection. It is established, or failed, when the socket becomes writable.
func dial(a *net.TCPAddr) (fd int, err error) {
	family := unix.AF_INET6
	v4 := a.IP.To4()
	if v4 != nil {
		family = unix.AF_INET
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, err
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1) // a small request must not wait for the ACK of the one before
	var to unix.Sockaddr
	if v4 != nil {
		to = &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(v4)}
	} else {
		to = &unix.SockaddrInet6{Port: a.Port, Addr: [16]byte(a.IP.To16()), ZoneId: zone(a.Zone)}
	}
	if err := unix.Connect(fd, to); err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func zone(name string) uint32 {
	if name == "" {
		return 0
	}
	i, err := net.InterfaceByName(name)
	if err != nil {
		return 0
	}
	return uint32(i.Index)
}

// dialError is how the connection attempt ended.
func dialError(fd int) error {
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return err
	}
	if code != 0 {
		return unix.Errno(code)
	}
	return nil
}

func readSocket(fd int, p []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

// writeSocket uses sendto for MSG_NOSIGNAL: a connection that the target closed must not raise SIGPIPE.
func writeSocket(fd int, p []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)), unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
