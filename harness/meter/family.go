package meter

import (
	"os"
	"slices"
	"strconv"
)

// family lists a process and all of its descendants, itself first.
func family(pid int, children map[int][]int) []int {
	pids := []int{pid}
	for i := 0; i < len(pids); i++ {
		pids = append(pids, children[pids[i]]...)
	}
	return pids
}

// childrenByParent reads the whole tree of processes.
func childrenByParent() map[int][]int {
	children := map[int][]int{}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			parent := parentOf(pid)
			children[parent] = append(children[parent], pid)
		}
	}
	for _, pids := range children {
		slices.Sort(pids)
	}
	return children
}

// members are the PIDs that count now.
func (r *reading) members() []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pids
}

// cpuNow is the CPU time of the whole family until now.
func (r *reading) cpuNow() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum := r.banked
	for _, pid := range r.pids {
		sum += cpuTime(pid)
	}
	return sum
}

func (r *reading) ticksNow() ticks {
	var sum ticks
	for _, pid := range r.members() {
		t := ticksOf(pid)
		sum.user, sum.system = sum.user+t.user, sum.system+t.system
	}
	return sum
}

func (r *reading) resetPeak() {
	for _, pid := range r.members() {
		resetPeak(pid)
	}
}
