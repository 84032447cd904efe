package upstream

// Ready says whether an endpoint could be chosen now. It takes none, and does not allocate.
func (u *Upstream) Ready() bool {
	f := u.fleet.Load()
	c := choice{endpoints: f.endpoints, now: u.now(), sick: f.sick.Load()}
	for _, e := range f.endpoints {
		if c.may(e) {
			return true
		}
	}
	return false
}
