package sidecar

import (
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestClassify(t *testing.T) {
	for text, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n": detectedHTTP,
		"GET / HTTP/1.0\n":                  detectedHTTP,
		"PROPFIND /a HTTP/1.1\r\n":          detectedHTTP,
		"GET /a/path/that/was/cut":          detectedHTTP,
		"GET http://a/":                     detectedHTTP,
		"DEL":                               detectedHTTP,
		"POST ":                             detectedHTTP,
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":  detectedOpaque,
		"PRI * HTT":                         detectedOpaque,
		"GET key\r\n":                       detectedOpaque,
		"GET key":                           detectedOpaque,
		"GET / HTTP/3.0\r\n":                detectedOpaque,
		"GET / a HTTP/1.1\r\n":              detectedOpaque,
		"*1\r\n$4\r\nPING\r\n":              detectedOpaque,
		"SSH-2.0-OpenSSH\r\n":               detectedOpaque,
		"\x00\x00\x00\x08\x04\xd2\x16\x2f":  detectedOpaque,
		"\x16\x03\x01\x00\xa5\x01\x00":      detectedTLS,
		"\x16\x03\x01":                      detectedTLS,
		"\x16\x03\x01\x00\xa5\x02\x00":      detectedOpaque,
		"\x16":                              detectedOpaque,
	} {
		require.Equal(t, want, classify([]byte(text)), "%q", text)
	}
}

// What was read to find out is read again by who serves the connection.
func TestDetectKeepsTheFirstBytes(t *testing.T) {
	for _, c := range []struct {
		speak func(c net.Conn)
		want  string
		first string
	}{
		{func(c net.Conn) { io.WriteString(c, "PING\r\n") }, detectedOpaque, "PING\r\n"},
		{func(c net.Conn) { tls.Client(c, &tls.Config{ServerName: "a"}).Handshake() }, detectedTLS, "\x16\x03\x01"},
	} {
		client, server := net.Pipe()
		go c.speak(client)
		kind, again, err := detect(server, 10*time.Second)
		require.NoError(t, err)
		require.Equal(t, c.want, kind)
		first := make([]byte, len(c.first))
		_, err = io.ReadFull(again, first)
		require.NoError(t, err)
		require.Equal(t, c.first, string(first))
		client.Close()
		server.Close()
	}
}

func TestDetectTheSilentAndTheGone(t *testing.T) {
	client, server := net.Pipe()
	kind, again, err := detect(server, time.Millisecond)
	require.NoError(t, err)
	require.Equal(t, detectedSilent, kind)
	go io.WriteString(client, "late")
	late := make([]byte, 4)
	_, err = io.ReadFull(again, late)
	require.NoError(t, err, "its deadline is gone")
	client.Close()
	_, _, err = detect(server, 10*time.Second)
	require.Error(t, err)
}

func FuzzClassify(f *testing.F) {
	for _, seed := range []string{"GET / HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\n", "\x16\x03\x01\x00\xa5\x01", "", "*1\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kind := classify(b)
		require.Contains(t, []string{detectedHTTP, detectedTLS, detectedOpaque}, kind)
		if len(b) > 4 && string(b[:4]) == "PRI " {
			require.Falsef(t, kind == detectedHTTP && string(b[4:5]) == "*" && len(b) > 14 && string(b[:14]) == "PRI * HTTP/2.0", "%q", b)
		}
	})
}
