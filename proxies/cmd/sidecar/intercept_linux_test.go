package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"crossroads/proxies/operate/operatetest"
)

// The sidecars of this test run as a user of their own, by which the rules tell their connections from the application's.
const sidecarUser = 1337

// Two machines: namespaces of the network with a cable between them.
const (
	callerIP = "10.213.7.1"
	calledIP = "10.213.7.2"
)

// prerequisites are what the test cannot do without. Where the machine or its kernel forbids it the test is left out, never in CI.
func prerequisites(t *testing.T, tool string) {
	t.Helper()
	missing := ""
	for _, program := range []string{"ip", "curl", "setpriv", tool} {
		if _, err := exec.LookPath(program); err != nil {
			missing = program + " is not installed"
		}
	}
	if os.Geteuid() != 0 {
		missing = "namespaces of the network need root"
	}
	if missing != "" && os.Getenv("CI") == "" {
		t.Skip(missing)
	}
	require.Empty(t, missing)
}

// machine is one namespace.
type machine struct {
	t    *testing.T
	name string
}

func (m machine) command(args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", m.name}, args...)...)
}

func (m machine) run(args ...string) string {
	m.t.Helper()
	out, err := m.command(args...).CombinedOutput()
	require.NoError(m.t, err, "%s: %s", args, out)
	return string(out)
}

// inside runs f on a thread that is in the namespace: sockets it opens stay there. The thread ends with it.
func (m machine) inside(f func() error) {
	m.t.Helper()
	failed := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: no other goroutine may get this thread
		ns, err := os.Open("/var/run/netns/" + m.name)
		if err == nil {
			defer ns.Close()
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
		}
		if err == nil {
			err = f()
		}
		failed <- err
	}()
	require.NoError(m.t, <-failed)
}

func (m machine) listen(address string) net.Listener {
	m.t.Helper()
	var l net.Listener
	m.inside(func() (err error) { l, err = net.Listen("tcp", address); return err })
	m.t.Cleanup(func() { l.Close() })
	return l
}

func (m machine) dial(address string) net.Conn {
	m.t.Helper()
	var c net.Conn
	m.inside(func() (err error) { c, err = net.DialTimeout("tcp", address, 10*time.Second); return err })
	m.t.Cleanup(func() { c.Close() })
	require.NoError(m.t, c.SetDeadline(time.Now().Add(30*time.Second)))
	return c
}

// twoMachines makes the namespaces and the cable, and takes both away with the test.
func twoMachines(t *testing.T) (caller, called machine) {
	t.Helper()
	id := fmt.Sprint(os.Getpid() % 100000)
	caller, called = machine{t, "xr-caller-" + id}, machine{t, "xr-called-" + id}
	ip := func(args ...string) {
		out, err := exec.Command("ip", args...).CombinedOutput()
		require.NoError(t, err, "ip %s: %s", args, out)
	}
	for _, m := range []machine{caller, called} {
		ip("netns", "add", m.name)
		t.Cleanup(func() { ip("netns", "del", m.name) })
	}
	ip("link", "add", "xra"+id, "netns", caller.name, "type", "veth", "peer", "name", "xrb"+id, "netns", called.name)
	for m, address := range map[machine][2]string{caller: {"xra" + id, callerIP}, called: {"xrb" + id, calledIP}} {
		m.run("ip", "address", "add", address[1]+"/24", "dev", address[0])
		m.run("ip", "link", "set", address[0], "up")
		m.run("ip", "link", "set", "lo", "up")
	}
	return caller, called
}

// program copies this test's executable to where any user may run it; it is the sidecar when it is called so.
func program(t *testing.T) string {
	t.Helper()
	dir := open(t)
	self, err := os.Executable()
	require.NoError(t, err)
	text, err := os.ReadFile(self)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sidecar"), text, 0o755))
	return filepath.Join(dir, "sidecar")
}

// open makes a folder that every user may read.
func open(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "intercept")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

// sidecar runs one in the machine until the test ends.
func (m machine) sidecar(program, file, text string) {
	m.t.Helper()
	dir := open(m.t)
	at := filepath.Join(dir, file)
	require.NoError(m.t, os.WriteFile(at, []byte(text), 0o644))
	user := fmt.Sprint(sidecarUser)
	c := m.command("setpriv", "--reuid", user, "--regid", user, "--clear-groups", program, "run", "--config", at)
	c.Dir = "/"
	var said bytes.Buffer
	c.Stderr = &said
	require.NoError(m.t, c.Start())
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	m.t.Cleanup(func() {
		c.Process.Signal(syscall.SIGTERM)
		if err := <-ended; m.t.Failed() {
			m.t.Logf("%s: %v\n%s", file, err, said.String())
		}
	})
	require.Eventually(m.t, func() bool { return m.command("curl", "-sf", "http://127.0.0.1:4191/readyz").Run() == nil },
		30*time.Second, 10*time.Millisecond, "the sidecar is not ready")
}

// intercept runs that command of the program in the machine: what it starts is started by this thread, and inherits where it is.
func (m machine) intercept(args ...string) {
	m.t.Helper()
	m.inside(func() error {
		var said bytes.Buffer
		if code := run(append([]string{"intercept"}, args...), nil, &said, &said); code != 0 {
			return fmt.Errorf("exit code %d: %s", code, said.String())
		}
		return nil
	})
}

// capture keeps the bytes of every frame that passes the machine's cable.
type capture struct {
	mu     sync.Mutex
	frames [][]byte
}

func (m machine) capture() *capture {
	m.t.Helper()
	var fd int
	m.inside(func() (err error) {
		all := int(uint16(unix.ETH_P_ALL)<<8 | uint16(unix.ETH_P_ALL)>>8) // in the order of the network
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all)
		return err
	})
	require.NoError(m.t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 20_000}))
	c, stop, over := &capture{}, make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		buffer := make([]byte, 1<<17)
		for {
			select {
			case <-stop:
				return
			default:
			}
			n, from, err := unix.Recvfrom(fd, buffer, 0)
			if link, ok := from.(*unix.SockaddrLinklayer); err != nil || ok && link.Hatype == unix.ARPHRD_LOOPBACK {
				continue // the application's own loopback is no wire
			}
			c.mu.Lock()
			c.frames = append(c.frames, bytes.Clone(buffer[:n]))
			c.mu.Unlock()
		}
	}()
	m.t.Cleanup(func() {
		close(stop)
		<-over
		unix.Close(fd)
	})
	return c
}

func (c *capture) saw(what []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.frames {
		if bytes.Contains(f, what) {
			return true
		}
	}
	return false
}

func (m machine) rules(tool string) string {
	if tool == "nft" {
		return m.run("nft", "list", "ruleset")
	}
	var lines []string // without comments and counters, which tell the time
	for _, text := range []string{m.run("iptables-save", "-t", "nat"), m.run("ip6tables-save", "-t", "nat")} {
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, "#") {
				before, _, _ := strings.Cut(line, " [")
				lines = append(lines, strings.TrimSpace(before))
			}
		}
	}
	return strings.Join(lines, "\n")
}

func TestInterception(t *testing.T) {
	for _, tool := range []string{"nft", "iptables"} {
		t.Run(tool, func(t *testing.T) { intercepted(t, tool) })
	}
}

// intercepted lets an unmodified curl in one namespace call a service in another, through both sidecars.
func intercepted(t *testing.T, tool string) {
	prerequisites(t, tool)
	caller, called := twoMachines(t)
	app := called.listen("0.0.0.0:8080")
	go http.Serve(app, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "the secret of %s\n", r.URL.Path)
		r.Header.Write(w)
	}))
	echo := called.listen("0.0.0.0:7000")
	go func() {
		for c, err := echo.Accept(); err == nil; c, err = echo.Accept() {
			go func() { defer c.Close(); io.Copy(c, c) }()
		}
	}()

	before := map[machine]string{}
	for _, m := range []machine{caller, called} { // what somebody else installed
		if tool == "nft" {
			m.run("nft", "add table inet others; add chain inet others c { type filter hook input priority 0; }; add rule inet others c tcp dport 9 drop")
		} else {
			m.run("iptables", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "--dport", "9", "-j", "RETURN")
			m.run("ip6tables", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "--dport", "9", "-j", "RETURN")
		}
		before[m] = m.rules(tool)
	}

	ca := operatetest.NewAuthority(t, "example.org")
	identity := func(service string) string {
		dir, files := open(t), ca.Files(service)
		at := func(name string) string { return filepath.Join(dir, filepath.Base(name)) }
		for _, name := range []string{files.Certificate, files.Key, files.Bundle} {
			text, err := os.ReadFile(name)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(at(name), text, 0o400))
			require.NoError(t, os.Chown(at(name), sidecarUser, sidecarUser))
		}
		return fmt.Sprintf("identity: {trust_domain: example.org, id: %q, files: {certificate: %s, key: %s, bundle: %s}}\n",
			ca.ID(service), at(files.Certificate), at(files.Key), at(files.Bundle))
	}
	sidecar := program(t)
	called.sidecar(sidecar, "called.yaml", "version: 1\nservice: stock\n"+identity("stock")+
		"inbound: {listen: \"0.0.0.0:4143\", app: \"127.0.0.1:8080\", tcp: [{port: 7000, to: \"127.0.0.1:7000\"}]}\n")
	caller.sidecar(sidecar, "caller.yaml", "version: 1\nservice: orders\n"+identity("orders")+fmt.Sprintf(`outbound:
  upstreams: {stock: {endpoints: [{address: "%[1]s:4143", identity: %[2]q}]}}
  transparent: {destinations: {"%[1]s:8080": stock, "%[1]s:7000": stock}}
`, calledIP, ca.ID("stock")))
	for _, m := range []machine{caller, called} {
		m.intercept("install", "--user", fmt.Sprint(sidecarUser), "--tool", tool)
		m.intercept("install", "--user", fmt.Sprint(sidecarUser), "--tool", tool) // twice is once
	}

	wire := caller.capture()
	answer := caller.run("curl", "-sS", "--max-time", "20", "http://"+calledIP+":8080/tea", "-H", "X-Private: what-nobody-may-read")
	require.Contains(t, answer, "the secret of /tea")
	require.Contains(t, answer, "X-Mesh-Peer: "+ca.ID("orders"))
	require.Contains(t, answer, "Via: 1.1 orders-transparent-http")
	require.Contains(t, answer, "Via: 1.1 stock-inbound")

	c := caller.dial(calledIP + ":7000")
	_, err := io.WriteString(c, "\x01opaque-bytes-nobody-may-read")
	require.NoError(t, err)
	back := make([]byte, 29)
	_, err = io.ReadFull(c, back)
	require.NoError(t, err)
	require.Equal(t, "\x01opaque-bytes-nobody-may-read", string(back))
	c.Close()

	require.Eventually(t, func() bool { return wire.saw([]byte("\x17\x03\x03")) }, 10*time.Second, time.Millisecond, "application data of TLS")
	for _, private := range []string{"nobody-may-read", "the secret of", "GET /tea"} {
		require.False(t, wire.saw([]byte(private)), private)
	}
	user := fmt.Sprint(sidecarUser)
	around := caller.command("setpriv", "--reuid", user, "--regid", user, "--clear-groups", "curl", "-sS", "--max-time", "20", "http://"+calledIP+":8080/tea")
	require.Error(t, around.Run(), "nobody gets around the other sidecar either: plaintext is refused")

	for _, m := range []machine{caller, called} {
		m.intercept("remove", "--tool", tool)
		m.intercept("remove", "--tool", tool)
		require.Equal(t, before[m], m.rules(tool), "as it was, to the letter")
	}
	plain := caller.run("curl", "-sS", "--max-time", "20", "http://"+calledIP+":8080/tea", "-H", "X-Private: what-nobody-may-read")
	require.NotContains(t, plain, "Via")
	require.Eventually(t, func() bool { return wire.saw([]byte("the secret of")) }, 10*time.Second, time.Millisecond, "the capture does see plaintext where there is some")
}

func TestInterceptCommands(t *testing.T) {
	for args, want := range map[string]struct {
		code int
		says string
	}{
		"intercept":                                                {0, "Usage:"},
		"intercept print --user 1337 --tool nft":                   {0, "meta skuid 1337 return"},
		"intercept print --user root --tool nft":                   {2, "user of its own"},
		"intercept print --tool nft":                               {2, "to itself"},
		"intercept print --user nobody-of-that-name":               {2, "neither a number nor a user"},
		"intercept print --user 5 --tool ipfw":                     {2, "known are nft and iptables"},
		"intercept print --user 5 --skip-to here":                  {2, "not a network"},
		"intercept print --mark 99 --tool iptables":                {0, "--mark 0x63 -j RETURN"},
		"intercept install":                                        {2, "to itself"},
		"intercept print --user 5 --skip-to 10.1.2.3/8 --tool nft": {0, "ip daddr 10.0.0.0/8 return"},
	} {
		var out bytes.Buffer
		require.Equal(t, want.code, run(strings.Fields(args), nil, &out, &out), "%s: %s", args, out.String())
		require.Contains(t, out.String(), want.says, args)
	}
}

// Rules can be read by somebody who may not install them.
func TestInterceptPrintNeedsNoRoot(t *testing.T) {
	sidecar := program(t)
	for _, tool := range []string{"nft", "iptables"} {
		c := exec.Command(sidecar, "intercept", "print", "--user", fmt.Sprint(sidecarUser), "--tool", tool)
		c.Dir = "/"
		if os.Geteuid() == 0 {
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: sidecarUser, Gid: sidecarUser}}
		}
		out, err := c.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), fmt.Sprint(sidecarUser))
		require.Contains(t, strings.ToLower(string(out)), "redirect")
	}
}
