//go:build !race

package wire

func readSocket(fd uintptr, p []byte) (int, error)  { return rawRead(fd, p) }
func writeSocket(fd uintptr, p []byte) (int, error) { return rawWrite(fd, p) }
func peekSocket(fd uintptr, p []byte) (int, error)  { return rawPeek(fd, p) }
