// Package operatetest holds the commands with which scripts test a proxy's program as its users run it: an origin to forward to,
// free ports, a file with other addresses, requests, and signals.
//
// Its one invariant: what a script starts ends with the script. It is for tests only.
package operatetest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// Commands are for testscript.Params.Cmds.
var Commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"origin":  origin,
	"ports":   ports,
	"rewrite": rewrite,
	"await":   await,
	"fetch":   fetch,
	"shows":   shows,
	"hup":     hup,
}

// origin NAME starts a server that answers every request with NAME and its fields, and sets $NAME to its address.
func origin(ts *testscript.TestScript, _ bool, args []string) {
	name := args[0]
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s\n", name, r.Method, r.RequestURI)
		r.Header.Write(w)
	}))
	ts.Defer(s.Close)
	ts.Setenv(name, s.Listener.Addr().String())
}

// ports NAME... sets each variable to an address whose port was free just now.
func ports(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		ts.Setenv(name, l.Addr().String())
		ts.Check(l.Close())
	}
}

// rewrite FROM TO OLD NEW... copies a file with words replaced, each of which must be there.
func rewrite(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	for i := 2; i+1 < len(args); i += 2 {
		if !strings.Contains(text, args[i]) {
			ts.Fatalf("%s does not hold %q", args[0], args[i])
		}
		text = strings.ReplaceAll(text, args[i], args[i+1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

// patience is how long a program may take to do what a script waits for.
const patience = 20 * time.Second

// await URL waits until URL answers 200.
func await(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if resp, err := http.Get(args[0]); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
	}
	ts.Fatalf("%s did not answer 200 in %s", args[0], patience)
}

// fetch [-X METHOD] URL STATUS [FIELD...] sends a request, expects a status, and puts the response where stdout looks at it.
func fetch(ts *testscript.TestScript, _ bool, args []string) {
	method := "GET"
	if args[0] == "-X" {
		method, args = args[1], args[2:]
	}
	req, err := http.NewRequest(method, args[0], nil)
	ts.Check(err)
	for _, f := range args[2:] {
		name, value, _ := strings.Cut(f, ": ")
		if name == "Host" {
			req.Host = value
		}
		req.Header.Add(name, value)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", resp.Status)
	ts.Check(resp.Header.Write(&b))
	b.Write(body)
	fmt.Fprint(ts.Stdout(), strings.ReplaceAll(b.String(), "\r\n", "\n"))
	if got := fmt.Sprint(resp.StatusCode); got != args[1] {
		ts.Fatalf("%s %s: status %s, want %s\n%s", method, args[0], got, args[1], b.String())
	}
}

// shows URL PATTERN waits until the page matches: a request is counted only once its response is out.
func shows(ts *testscript.TestScript, _ bool, args []string) {
	pattern, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		resp, err := http.Get(args[0])
		ts.Check(err)
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		ts.Check(err)
		if pattern.Match(body) {
			return
		}
	}
	ts.Fatalf("%s did not show %s in %s", args[0], args[1], patience)
}

// hup sends SIGHUP to the programs in the background.
func hup(ts *testscript.TestScript, _ bool, _ []string) {
	for _, c := range ts.BackgroundCmds() {
		ts.Check(c.Process.Signal(syscall.SIGHUP))
	}
}
