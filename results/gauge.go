package results

// Gauge is the driver's CPU time for one answered request, in ns, without the time in which it watched the clock. The driver does the
// same for every request, whoever answers it. So what moves it from one block to another of the same rate is the machine: a
// neighbour on the other thread of a core makes everything dearer, and neither stolen time nor a loop that is calibrated between blocks shows it.
//
// It is false where nothing was answered or the driver's CPU time is not known.
func Gauge(t *Trial) (ns float64, ok bool) {
	used := t.Driver.Working()
	if t.Counts.Done == 0 || used <= 0 {
		return 0, false
	}
	return float64(used) / float64(t.Counts.Done), true
}
