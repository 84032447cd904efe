package identity

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/stretchr/testify/require"
)

// TestResumption: a second connection resumes, is verified all the same, and shows the same identities.
func TestResumption(t *testing.T) {
	a := newAuthority(t, testDomain, time.Hour)
	web, db := newSourceOf(t, a, service("web")), newSourceOf(t, a, service("db"))
	l, server := listen(t), db.ServerConfig(Strict)
	require.False(t, handshakeAt(t, l, web.ClientConfig(service("db")), server).clientSaw.DidResume)
	o := handshakeAt(t, l, web.ClientConfig(service("db")), server)
	require.True(t, o.clientSaw.DidResume)
	require.True(t, o.serverSaw.DidResume)
	require.Equal(t, service("db"), PeerID(o.clientSaw))
	require.Equal(t, service("web"), PeerID(o.serverSaw))
}

// TestSessionOfAnotherIdentityIsNotUsed: the address stayed, the identity promised for it changed.
func TestSessionOfAnotherIdentityIsNotUsed(t *testing.T) {
	a := newAuthority(t, testDomain, time.Hour)
	web, db := newSourceOf(t, a, service("web")), newSourceOf(t, a, service("db"))
	l, server := listen(t), db.ServerConfig(Strict)
	require.NoError(t, handshakeAt(t, l, web.ClientConfig(service("db")), server).client)
	o := handshakeAt(t, l, web.ClientConfig(service("orders")), server)
	require.Equal(t, WrongIdentity, ReasonOf(o.client))
}

// TestBundleChangeEndsSessions: after any change of the roots both sides make a full handshake, which succeeds.
func TestBundleChangeEndsSessions(t *testing.T) {
	for _, changed := range []string{"client", "server"} {
		t.Run(changed, func(t *testing.T) {
			a, root, key := newAuthorityKey(t, testDomain, time.Hour)
			_, other, _ := newAuthorityKey(t, testDomain, time.Hour)
			both, err := NewAuthority(spiffeid.RequireTrustDomainFromString(testDomain), []*x509.Certificate{root, other}, key, time.Hour, time.Now)
			require.NoError(t, err)
			web, db := newSourceOf(t, a, service("web")), newSourceOf(t, a, service("db"))
			l, server := listen(t), db.ServerConfig(Strict)
			client := func() *tls.Config { return web.ClientConfig(service("db")) }
			kept := client()
			require.NoError(t, handshakeAt(t, l, client(), server).client)
			require.True(t, handshakeAt(t, l, client(), server).clientSaw.DidResume)
			if changed == "client" {
				web.SetBundle(both.Bundle())
			} else {
				db.SetBundle(both.Bundle())
			}
			for i, c := range []*tls.Config{kept, client()} {
				o := handshakeAt(t, l, c, server)
				require.NoError(t, o.client)
				require.NoError(t, o.server)
				require.False(t, o.clientSaw.DidResume && (i == 0 || changed == "client"))
			}
			require.True(t, handshakeAt(t, l, client(), server).clientSaw.DidResume, "and from then on they resume again")
		})
	}
}

// TestResumedSessionIsVerifiedAgain removes the two guards in front (epochs in tickets and caches): VerifyConnection alone must refuse
// a resumed session whose root was withdrawn.
func TestResumedSessionIsVerifiedAgain(t *testing.T) {
	a, fresh := newAuthority(t, testDomain, time.Hour), newAuthority(t, testDomain, time.Hour)
	web, db := newSourceOf(t, a, service("web")), newSourceOf(t, a, service("db"))
	l, server := listen(t), db.ServerConfig(Strict)
	server.WrapSession, server.UnwrapSession = nil, nil
	client := web.ClientConfig(service("db")).Clone()
	client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
	require.NoError(t, handshakeAt(t, l, client, server).client)
	require.True(t, handshakeAt(t, l, client, server).clientSaw.DidResume)
	db.Close() // or it would obtain another SVID
	db.SetBundle(fresh.Bundle())
	o := handshakeAt(t, l, client, server)
	require.Equal(t, Untrusted, ReasonOf(o.server), "%v", o.server)
	require.Equal(t, Untrusted, ReasonOf(db.Verify(tls.ConnectionState{PeerCertificates: chainOf(web.current.Load().certificate)}, x509.ExtKeyUsageClientAuth)))
}

// TestTicketOfRefusedPeer: the roots change between a handshake and its ticket. The ticket must not be accepted as one of theirs.
func TestTicketOfRefusedPeer(t *testing.T) {
	a, fresh := newAuthority(t, testDomain, time.Hour), newAuthority(t, testDomain, time.Hour)
	web, db := newSourceOf(t, a, service("web")), newSourceOf(t, a, service("db"))
	o := handshake(t, web.ClientConfig(service("db")), db.ServerConfig(Strict))
	require.NoError(t, o.server)
	require.EqualValues(t, 1, db.ticketEpoch(o.serverSaw))
	db.Close()
	db.SetBundle(fresh.Bundle())
	require.Zero(t, db.ticketEpoch(o.serverSaw))
}

// TestNewSVIDEndsSessions: a session would show the peer our earlier SVID.
func TestNewSVIDEndsSessions(t *testing.T) {
	a := newAuthority(t, testDomain, time.Hour)
	web, db := newSourceOf(t, a, service("web")), newSourceOf(t, a, service("db"))
	l, server := listen(t), db.ServerConfig(Strict)
	first := handshakeAt(t, l, web.ClientConfig(service("db")), server)
	require.NoError(t, web.renew(t.Context()))
	o := handshakeAt(t, l, web.ClientConfig(service("db")), server)
	require.NoError(t, o.client)
	require.False(t, o.clientSaw.DidResume)
	require.NotEqual(t, first.serverSaw.PeerCertificates[0].SerialNumber, o.serverSaw.PeerCertificates[0].SerialNumber)
}

func TestClientConfigIsKept(t *testing.T) {
	a := newAuthority(t, testDomain, time.Hour)
	web := newSourceOf(t, a, service("web"))
	require.Same(t, web.ClientConfig(service("db")), web.ClientConfig(service("db")))
	require.NotSame(t, web.ClientConfig(service("db")), web.ClientConfig(service("orders")))
}

func TestDetectTLS(t *testing.T) {
	for name, c := range map[string]struct {
		parts []string
		tls   bool
	}{
		"ClientHello":                    {[]string{"\x16\x03\x01\x02\x00\x01\x00"}, true},
		"ClientHello byte by byte":       {[]string{"\x16", "\x03", "\x01", "\x02", "\x00", "\x01"}, true},
		"HTTP":                           {[]string{"GET / HTTP/1.1\r\n"}, false},
		"one byte of HTTP":               {[]string{"G"}, false},
		"a record that is no handshake":  {[]string{"\x17\x03\x03\x00\x10\x01"}, false},
		"a handshake that is no hello":   {[]string{"\x16\x03\x01\x02\x00\x02"}, false},
		"another major version":          {[]string{"\x16\x02"}, false},
		"the beginning of a ClientHello": {[]string{"\x16\x03\x01"}, false},
		"the HTTP/2 preface":             {[]string{"PRI * HTTP/2.0\r\n"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			here, there := net.Pipe()
			defer here.Close()
			all := ""
			for _, p := range c.parts {
				all += p
			}
			go func() {
				for _, p := range c.parts {
					there.Write([]byte(p))
				}
				there.Close()
			}()
			isTLS, replay, err := DetectTLS(here)
			require.NoError(t, err)
			require.Equal(t, c.tls, isTLS)
			var got []byte
			for one := make([]byte, 2); ; {
				n, err := replay.Read(one)
				got = append(got, one[:n]...)
				if err != nil {
					break
				}
			}
			require.Equal(t, all, string(got), "nothing read for detection is lost")
		})
	}
}
