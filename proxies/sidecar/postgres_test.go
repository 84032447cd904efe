package sidecar

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// database is a PostgreSQL server of the test's own.
type database struct {
	t    *testing.T
	dir  string
	port string
}

// Debian keeps what belongs to one version of the server off PATH.
const versioned = "/usr/lib/postgresql/*/bin/"

// startDatabase makes a cluster and serves it. The server refuses to run as root: then it runs as nobody.
func startDatabase(t *testing.T) *database {
	t.Helper()
	initdb, postgres := needs(t, "initdb", versioned+"initdb"), needs(t, "postgres", versioned+"postgres")
	d := &database{t, t.TempDir(), freePort(t)}
	for parent := d.dir; len(parent) > len(os.TempDir()); parent = filepath.Dir(parent) {
		require.NoError(t, os.Chmod(parent, 0o755))
	}
	require.NoError(t, os.Chmod(d.dir, 0o777))
	data := filepath.Join(d.dir, "data")
	out, err := d.unprivileged(initdb, "-D", data, "-U", "shop", "-A", "trust", "--no-sync", "--no-instructions").CombinedOutput()
	require.NoError(t, err, "%s", out)
	server := d.unprivileged(postgres, "-D", data, "-p", d.port, "-h", "127.0.0.1", "-k", "", "-F")
	require.NoError(t, server.Start())
	t.Cleanup(func() {
		server.Process.Signal(syscall.SIGQUIT)
		server.Wait()
	})
	return d
}

func (d *database) unprivileged(name string, args ...string) *exec.Cmd {
	c := exec.Command(name, args...)
	if os.Geteuid() == 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	c.Dir = d.dir
	return c
}

// TestPostgreSQLWithItsOwnClient: a session of a database, with its start-up packet, extended queries and COPY, as psql makes it.
func TestPostgreSQLWithItsOwnClient(t *testing.T) {
	t.Parallel() // it waits more than it works
	client := needs(t, "psql", versioned+"psql")
	d := startDatabase(t)
	p := newPair(t, "127.0.0.1:"+d.port)
	_, at, _ := net.SplitHostPort(p.at)
	psql := func(sql string) (string, error) {
		c := exec.Command(client, "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", at, "-U", "shop", "-d", "postgres")
		c.Stdin = strings.NewReader(sql)
		out, err := c.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	require.Eventually(t, func() bool { _, err := psql("select 1"); return err == nil }, time.Minute, 50*time.Millisecond)
	got, err := psql("create table t (n int, s text);\nbegin;\ninsert into t select g, repeat('x', 100) from generate_series(1, 10000) g;\ncommit;\n" +
		"copy t from stdin;\n10001\thand\n\\.\nselect count(*), sum(n), max(length(s)) from t;\n")
	require.NoError(t, err, got)
	require.True(t, strings.HasSuffix(got, "10001|50015001|100"), got)
	p.stock.shows(`sidecar_tcp_connections_total{destination="stock",direction="inbound",result="ok"`)
}
