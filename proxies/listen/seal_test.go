package listen_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// nowhere takes what is written once it is told to, in place of a system call.
type nowhere struct {
	net.Conn
	closed bool
}

func (n *nowhere) Write(p []byte) (int, error) {
	if n.closed {
		return len(p), nil
	}
	return n.Conn.Write(p)
}

// BenchmarkSeal is what comes after the last instant that a ledger can tell of an answer over TLS: a head and 1 KiB of body are sealed
// into a record. The system call is left out.
func BenchmarkSeal(b *testing.B) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(b, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"gw.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(b, err)
	near, far := net.Pipe()
	below := &nowhere{Conn: near}
	server := tls.Server(below, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	go func() {
		c := tls.Client(far, &tls.Config{InsecureSkipVerify: true}) // whose certificate it is matters to nobody here
		_, _ = io.Copy(io.Discard, c)
	}()
	require.NoError(b, server.Handshake())
	below.closed = true
	answer := make([]byte, 1800)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := server.Write(answer); err != nil {
			b.Fatal(err)
		}
	}
	_ = far.Close()
}
