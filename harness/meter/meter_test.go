package meter

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"crossroads/harness/deploy"
	"crossroads/results"
)

// TestMain lets the test binary play a process that is measured: it burns the CPU time named, prints a line and waits.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "burn" {
		burn(os.Args[2])
		return // never on to the tests, which start such processes
	}
	os.Exit(m.Run())
}

// burn spends CPU time on a thread that then ends, holds some memory and a socket, and waits to be killed.
func burn(text string) {
	want, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	fmt.Println("begins")
	var line string
	fmt.Scanln(&line) // the meter has started
	over := make(chan struct{})
	go func() {
		defer close(over)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for began := cpuTime(os.Getpid()); cpuTime(os.Getpid())-began < int64(want); {
			calibrated = spin(calibrated|1, 10_000)
		}
	}()
	<-over
	peak := make([]byte, 64<<20)
	for i := range peak {
		peak[i] = 1
	}
	fmt.Println("burnt", len(peak))
	fmt.Scanln(&line)
}

// burner starts such a process.
type burner struct {
	process *exec.Cmd
	in      interface{ Write([]byte) (int, error) }
	out     interface{ Read([]byte) (int, error) }
}

func startBurner(t *testing.T, want time.Duration) burner {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return startCommand(t, exec.Command(self, "burn", want.String()))
}

func startCommand(t *testing.T, c *exec.Cmd) burner {
	t.Helper()
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	b := burner{c, in, out}
	b.hear(t)
	return b
}

func (b burner) hear(t *testing.T) {
	t.Helper()
	_, err := b.out.Read(make([]byte, 100))
	require.NoError(t, err)
}

// TestAProcessThatAFaultEndsKeepsCounting: what it used before, and what its successor uses.
func TestAProcessThatAFaultEndsKeepsCounting(t *testing.T) {
	const want = 60 * time.Millisecond
	process := func(b burner) deploy.Process {
		return deploy.Process{ID: "gateway-1", Kind: deploy.KindGateway, PID: b.process.Process.Pid}
	}
	run := func(b burner) {
		_, err := b.in.Write([]byte("go\n"))
		require.NoError(t, err)
		b.hear(t)
	}
	first := startBurner(t, want)
	block := Start([]deploy.Process{process(first)}, nil)
	run(first)
	block.Ending("gateway-1")
	block.Ending("nobody-1")
	require.NoError(t, first.process.Process.Kill())
	_ = first.process.Wait()
	second := startBurner(t, want)
	block.Back(process(second))
	run(second)
	usage, host, _ := block.End()
	require.Len(t, usage, 1)
	require.GreaterOrEqual(t, usage[0].CPU, int64(2*want))
	require.GreaterOrEqual(t, host.Ours, usage[0].CPU)
	require.Positive(t, usage[0].RSS, "the successor's")
}

func TestBlockMeasuresWhatAProcessUsed(t *testing.T) {
	const want = 500 * time.Millisecond
	target, driver := startBurner(t, want), startBurner(t, want/2)
	block := Start([]deploy.Process{{ID: "gateway-1", Kind: deploy.KindGateway, PID: target.process.Process.Pid}}, []int{driver.process.Process.Pid})
	for _, b := range []burner{target, driver} {
		_, err := b.in.Write([]byte("go\n"))
		require.NoError(t, err)
		b.hear(t)
	}
	usage, host, seconds := block.End()

	require.Len(t, usage, 2)
	gateway, load := usage[0], usage[1]
	require.Equal(t, "gateway-1", gateway.Process)
	require.Equal(t, results.Usage{Process: "driver", Kind: "driver"}, results.Usage{Process: load.Process, Kind: load.Kind})
	require.GreaterOrEqual(t, gateway.CPU, int64(want), "the thread that burnt it has ended, and still counts")
	require.GreaterOrEqual(t, load.CPU, int64(want/2))
	require.Equal(t, gateway.CPU, gateway.User+gateway.System)
	require.Greater(t, gateway.User, gateway.System, "it hardly ever called the kernel")
	require.GreaterOrEqual(t, gateway.RSSPeak, int64(64<<20))
	require.GreaterOrEqual(t, gateway.RSSPeak, gateway.RSS)
	require.Positive(t, gateway.RSS)
	require.Equal(t, 1, gateway.Sockets)

	require.GreaterOrEqual(t, host.Ours, gateway.CPU+load.CPU)
	require.GreaterOrEqual(t, host.Busy, int64(want), "the machine did at least what the target did")
	require.Equal(t, runtime.NumCPU(), host.CPUs)
	require.NotEmpty(t, seconds)
	var sum int64
	for _, s := range seconds {
		sum += s
	}
	require.InDelta(t, gateway.CPU, sum, float64(want)/10, "the seconds are of the target alone")
}

func TestForeignProcessesShow(t *testing.T) {
	const want = 500 * time.Millisecond
	foreign := startBurner(t, want)
	block := Start(nil, nil)
	_, err := foreign.in.Write([]byte("go\n"))
	require.NoError(t, err)
	foreign.hear(t)
	_, host, _ := block.End()
	require.GreaterOrEqual(t, host.Busy-host.Ours, int64(want*9/10))
	require.Positive(t, host.Foreign)
}

func TestTheParentOfTheTargetIsOurs(t *testing.T) {
	child := startBurner(t, time.Millisecond)
	block := Start([]deploy.Process{{PID: child.process.Process.Pid}}, nil)
	require.Len(t, block.ours, 1, "parent and harness are this process, counted once")
	require.Equal(t, os.Getpid(), block.ours[0].pids[0])
	block.End()
}

func TestAProcessThatIsGoneCountsNothing(t *testing.T) {
	gone := startBurner(t, time.Millisecond)
	block := Start([]deploy.Process{{ID: "gone-1", PID: gone.process.Process.Pid}}, nil)
	require.NoError(t, gone.process.Process.Kill())
	_ = gone.process.Wait()
	usage, _, _ := block.End()
	require.Equal(t, []results.Usage{{Process: "gone-1"}}, usage)
}

// TestWorkersCountWithTheirMaster measures a shell that does nothing but wait for the program it forked.
func TestWorkersCountWithTheirMaster(t *testing.T) {
	const want = 300 * time.Millisecond
	self, err := os.Executable()
	require.NoError(t, err)
	master := startCommand(t, exec.Command("sh", "-c", `"$0" burn "$1"; exit`, self, want.String()))
	block := Start([]deploy.Process{{ID: "gateway-1", PID: master.process.Process.Pid}}, nil)
	_, err = master.in.Write([]byte("go\n"))
	require.NoError(t, err)
	master.hear(t)
	usage, _, seconds := block.End()
	_, err = master.in.Write([]byte("end\n"))
	require.NoError(t, err)
	require.NoError(t, master.process.Wait())
	require.GreaterOrEqual(t, usage[0].CPU, int64(want))
	require.GreaterOrEqual(t, usage[0].RSSPeak, int64(64<<20))
	require.Equal(t, 1, usage[0].Sockets)
	require.NotEmpty(t, seconds)
	require.Positive(t, seconds[0])
}

func TestCalibrateTakesTime(t *testing.T) {
	require.Positive(t, Calibrate())
	require.NotEqual(t, spin(1, 1000), spin(1, 1001))
}

// The meter's own cost, for a deployment of twelve processes: BenchmarkBlock is what one whole block costs, BenchmarkSample what is
// spent every 200 ms within it.
func BenchmarkBlock(b *testing.B) {
	processes := ofTwelve()
	for b.Loop() {
		Start(processes, nil).End()
	}
}

func BenchmarkSample(b *testing.B) {
	s := &series{}
	for _, p := range ofTwelve() {
		s.targets = append(s.targets, &reading{pids: []int{p.PID}})
	}
	for b.Loop() {
		s.take()
		s.samples = s.samples[:1]
	}
}

func BenchmarkCalibrate(b *testing.B) {
	for b.Loop() {
		Calibrate()
	}
}

func ofTwelve() []deploy.Process {
	processes := make([]deploy.Process, 12)
	for i := range processes {
		processes[i].PID = os.Getpid()
	}
	return processes
}
