package process

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// The verbs of a command: what the harness asks of the supervisor.
const (
	doOwn    = "own"    // make the private directory, and remove it at the end
	doStart  = "start"  // start a process
	doSignal = "signal" // send a signal to a process that was started
	doFamily = "family" // send a signal to such a process and to all of its descendants
	doStop   = "stop"   // end everything, politely for as long as Grace, then by force
)

// The names of an event: what the supervisor reports.
const (
	eventOwned   = "owned"
	eventStarted = "started"
	eventRefused = "refused" // could not be owned or started
	eventExited  = "exited"
	eventStopped = "stopped" // nothing is left; the supervisor ends
)

// command is one line on the supervisor's stdin.
type command struct {
	Do      string   `json:"do"`
	Private string   `json:"private,omitempty"` // own: the directory
	ID      string   `json:"id,omitempty"`
	Path    string   `json:"path,omitempty"`
	Args    []string `json:"args,omitempty"`
	Env     []string `json:"env,omitempty"`
	Dir     string   `json:"dir,omitempty"`
	Log     string   `json:"log,omitempty"` // file that takes stdout and stderr
	Out     string   `json:"out,omitempty"` // file that takes stdout instead
	CPUs    []int    `json:"cpus,omitempty"`
	Signal  int      `json:"signal,omitempty"`
	Grace   int64    `json:"grace_ns,omitempty"`
}

// event is one line on the supervisor's stdout.
type event struct {
	Event  string `json:"event"`
	ID     string `json:"id,omitempty"`
	PID    int    `json:"pid,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// lines writes JSON lines; each is one write, so that a reader never sees half of one from two writers.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lines) send(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding %T: %w", v, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err = l.w.Write(append(line, '\n'))
	return err
}

// receive decodes JSON lines into the channel until the stream ends or makes no sense, then closes it.
func receive[T any](r io.Reader, out chan<- T) {
	defer close(out)
	decoder := json.NewDecoder(r)
	for {
		var v T
		if decoder.Decode(&v) != nil {
			return
		}
		out <- v
	}
}
