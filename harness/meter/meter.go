// Package meter reads what processes and the machine used, around exactly one measured block.
//
// Its one invariant: CPU time is read from the clocks that the kernel keeps in nanoseconds for whole processes, threads that ended
// included; the 10 ms ticks of /proc/PID/stat only split it into user and system. It judges nothing: results does.
package meter

import (
	"os"
	"sync"
	"time"

	"crossroads/harness/deploy"
	"crossroads/results"
)

// KindDriver is the kind of the processes that send the load.
const KindDriver = "driver"

// Block is one measured block under way.
type Block struct {
	began   time.Time
	targets []*reading
	drivers []*reading
	ours    []*reading // harness and supervisors: they count as ours, and have no usage of their own in a record
	machine machine
	series  *series
}

// reading is one process of the deployment at the beginning of the block, with the workers that it had forked by then: nginx serves in
// those, and its master does nothing.
type reading struct {
	usage results.Usage
	cpu   int64
	ticks ticks

	mu     sync.Mutex
	pids   []int // the process itself first; none while a fault has ended it
	banked int64 // CPU time of those that a fault ended
}

// Start begins a block. drivers are the PIDs of the processes that send the load. This process and the parents of the deployment's
// processes count as ours too.
func Start(processes []deploy.Process, drivers []int) *Block {
	b := &Block{}
	known, children := map[int]bool{}, childrenByParent()
	for _, p := range processes {
		b.targets = append(b.targets, &reading{pids: family(p.PID, children), usage: results.Usage{Process: p.ID, Kind: p.Kind, Service: p.Service}})
		known[p.PID] = true
	}
	for _, pid := range drivers {
		b.drivers = append(b.drivers, &reading{pids: []int{pid}, usage: results.Usage{Process: KindDriver, Kind: KindDriver}})
		known[pid] = true
	}
	for _, pid := range append(parents(b.targets), os.Getpid()) {
		if pid > 1 && !known[pid] {
			b.ours = append(b.ours, &reading{pids: []int{pid}})
			known[pid] = true
		}
	}
	b.series = watch(b.targets)
	b.begin()
	return b
}

// begin takes the readings that must lie close to the block's edge last.
func (b *Block) begin() {
	for _, r := range b.shown() {
		r.resetPeak()
		r.ticks = r.ticksNow()
	}
	b.machine = readMachine()
	for _, r := range b.all() {
		r.cpu = r.cpuNow()
	}
	b.began = time.Now()
}

// End ends the block: the use of every process of the deployment and of the drivers, that of the machine, and the CPU time of the
// deployment by second of the block.
func (b *Block) End() ([]results.Usage, results.HostUse, []int64) {
	ended := time.Now()
	var ours int64
	for _, r := range b.all() {
		if now := r.cpuNow(); now > r.cpu {
			r.usage.CPU = now - r.cpu
		}
		ours += r.usage.CPU
	}
	machine := readMachine()
	seconds := b.series.end(b.began, ended)
	var usage []results.Usage
	for _, r := range b.shown() {
		r.settle()
		usage = append(usage, r.usage)
	}
	return usage, machine.since(b.machine, ours, interruptsApart()), seconds
}

// settle completes a process's usage with what need not be read at the edge.
func (r *reading) settle() {
	r.usage.User, r.usage.System = split(r.usage.CPU, r.ticks, r.ticksNow())
	for _, pid := range r.members() {
		rss, peak := memory(pid)
		r.usage.RSS, r.usage.RSSPeak = r.usage.RSS+rss, r.usage.RSSPeak+peak
		r.usage.Sockets += sockets(pid)
	}
}

// Ending is told that a fault is about to end a process of the deployment: what it used until now is kept.
func (b *Block) Ending(id string) {
	if r := b.target(id); r != nil {
		used := r.cpuNow()
		r.mu.Lock()
		defer r.mu.Unlock()
		r.banked, r.pids = used, nil
	}
}

// Back is told that a process was started again.
func (b *Block) Back(p deploy.Process) {
	if r := b.target(p.ID); r != nil {
		pids := family(p.PID, childrenByParent())
		r.mu.Lock()
		defer r.mu.Unlock()
		r.pids = pids
	}
}

func (b *Block) target(id string) *reading {
	for _, r := range b.targets {
		if r.usage.Process == id {
			return r
		}
	}
	return nil
}

func (b *Block) shown() []*reading { return append(append([]*reading{}, b.targets...), b.drivers...) }
func (b *Block) all() []*reading   { return append(b.shown(), b.ours...) }

func parents(of []*reading) []int {
	var pids []int
	for _, r := range of {
		pids = append(pids, parentOf(r.pids[0]))
	}
	return pids
}
