package process_test

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"crossroads/harness/deploy/process"
	"crossroads/proxies/config"
	"crossroads/proxies/config/strict"
)

// The test binary plays every program of a deployment: by its first argument the supervisor, the harness that is killed and the
// daemon, otherwise by the name under which it was linked (see programs). They end by syscall.Exit: os.Exit sleeps a second under the
// race detector.
func TestMain(m *testing.M) {
	name := filepath.Base(os.Args[0])
	switch {
	case len(os.Args) > 1 && os.Args[1] == "supervise":
		syscall.Exit(process.Supervise(os.Stdin, os.Stdout))
	case len(os.Args) > 2 && os.Args[1] == "harness":
		syscall.Exit(harness(os.Args[2], slices.Contains(os.Args, "stay")))
	case len(os.Args) > 1 && os.Args[1] == "daemon":
		syscall.Exit(daemonize(os.Args[2:]))
	case strings.HasPrefix(name, "fake-"):
		syscall.Exit(fake(strings.TrimPrefix(name, "fake-"), os.Args[2:]))
	}
	os.Exit(m.Run())
}

// harness deploys and closes, or deploys and stays, until it is killed.
func harness(temp string, stay bool) int {
	d, err := process.New(process.Config{Binaries: programs(temp), Dir: filepath.Join(temp, "logs"), Temp: temp})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("deploying")
	for {
		running, err := d.Deploy(context.Background(), demoArm())
		if err == nil && stay {
			fmt.Println("deployed")
			forever()
		}
		if err == nil {
			time.Sleep(50 * time.Millisecond)
			err = running.Close(context.Background())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
}

// fakes are the programs that exist, by the name of their link: fake-KIND or fake-KIND-BEHAVIOUR.
var fakes = []string{"gateway", "sidecar", "control", "workload", "workload-mute", "workload-dying", "workload-daemon", "workload-evicted", "workload-impostor"}

// programs links the test binary under the names of the fakes. Linking twice is fine.
func programs(dir string) map[string]string {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	found := map[string]string{"crossroads": self}
	for _, name := range fakes {
		link := filepath.Join(dir, "fake-"+name)
		if err := os.Symlink(self, link); err != nil && !os.IsExist(err) {
			panic(err)
		}
		found[name] = link
	}
	found["workload"] = found["workload-daemon"]
	return found
}

// fake plays a program: it listens where its configuration says and does what its name says.
func fake(name string, args []string) int {
	kind, behaviour, _ := strings.Cut(name, "-")
	if len(os.Args) > 1 && os.Args[1] == "calibrate" {
		fmt.Println("123.4")
		return 0
	}
	fmt.Println("begins as", name)
	switch behaviour {
	case "dying":
		fmt.Println("cannot go on")
		return 3
	case "mute":
		fmt.Println("still waiting")
		forever()
	case "daemon":
		if err := exec.Command(os.Args[0], "daemon", "again").Run(); err != nil {
			fmt.Println("daemonizing:", err)
			return 1
		}
	}
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	file := flags.String("config", "", "")
	listen := flags.String("listen", "", "")
	for _, ignored := range []string{"experiment", "service", "replica", "peers", "calibration"} {
		flags.String(ignored, "", "")
	}
	if err := flags.Parse(args); err != nil {
		return 2
	}
	switch behaviour {
	case "evicted":
		return evicted(*listen)
	case "impostor":
		return impostor(*listen)
	}
	return fakeServers(kind, *file, *listen)
}

// evicted finds its port taken the first two times that it is started anywhere in its directory.
func evicted(listen string) int {
	for _, time := range []string{"first", "second"} {
		f, err := os.OpenFile(filepath.Join(filepath.Dir(os.Args[0]), time), os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			_ = f.Close()
			fmt.Printf("error: listen tcp %s: bind: address already in use\n", listen)
			return 1
		}
	}
	return fakeServers("workload", "", listen)
}

// impostor finds, the first time, that a program like itself has taken its port: that one answers in its place.
func impostor(listen string) int {
	f, err := os.OpenFile(filepath.Join(filepath.Dir(os.Args[0]), "taken"), os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fakeServers("workload", "", listen)
	}
	_ = f.Close()
	other := exec.Command(filepath.Join(filepath.Dir(os.Args[0]), "fake-workload"), "run", "--listen", listen)
	if err := other.Start(); err != nil {
		return 1
	}
	time.Sleep(300 * time.Millisecond)
	fmt.Printf("error: listen tcp %s: bind: address already in use\n", listen)
	return 1
}

// forever sleeps: the runtime takes an empty select without anything else to do for a deadlock.
func forever() {
	for {
		time.Sleep(time.Hour)
	}
}

// fakeServers listens on every address that a kind of program has and ends on SIGTERM.
func fakeServers(kind, file, listen string) int {
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "fake", kind) })
	servers := map[string]http.Handler{}
	switch kind {
	case "workload":
		servers[listen] = answer
	case "control":
		c := decode(file, &config.Control{})
		servers[c.Admin.Address], servers[c.Bootstrap], servers[c.Listen] = answer, answer, answer
	case "sidecar":
		s := decode(file, &config.Sidecar{})
		servers[s.Admin.Address] = answer
		servers[s.Inbound.Listen] = forwardTo(s.Inbound.App)
		if s.Inbound.Ingress != "" {
			servers[s.Inbound.Ingress] = forwardTo(s.Inbound.App)
		}
		if s.Outbound != nil {
			servers[s.Outbound.Listen] = answer
		}
	case "gateway":
		g := decode(file, &config.Gateway{})
		servers[g.Admin.Address] = answer
		servers[g.Listen[0].Address] = forwardTo(g.Upstreams.At(g.Routes[0].Backends[0].Upstream).Endpoints[0].Address)
	}
	failed := make(chan error, len(servers))
	for address, handler := range servers {
		go func() { failed <- http.ListenAndServe(address, handler) }()
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	select {
	case err := <-failed:
		fmt.Println("error:", err)
		return 1
	case <-ctx.Done():
		return 0
	}
}

func decode[T any](file string, into *T) *T {
	text, err := os.ReadFile(file)
	if err == nil {
		_, err = strict.Decode(file, text, into)
	}
	if err != nil {
		panic(err)
	}
	return into
}

func forwardTo(address string) http.Handler {
	return httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
}

// daemonize leaves its parent as daemons do: a session of its own, a parent that ends, and no ear for polite signals.
func daemonize(again []string) int {
	if len(again) == 0 {
		signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
		fmt.Println("deaf")
		forever()
	}
	child := exec.Command(os.Args[0], append([]string{"daemon"}, again[1:]...)...)
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if child.Start() != nil {
		return 1
	}
	return 0
}
