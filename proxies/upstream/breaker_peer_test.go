package upstream

import (
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"
	"github.com/stretchr/testify/require"
)

// TestBreakerAgreesWithGobreaker drives both with the same random histories where their models coincide: a run of failures opens,
// every pause is as long, one probe decides, late verdicts count for nothing, and excluded ones neither. They must admit and refuse
// the same requests at every moment. gobreaker reads the clock itself, hence the bubble.
func TestBreakerAgreesWithGobreaker(t *testing.T) {
	left := errors.New("the client left")
	failed := errors.New("failed")
	said := map[verdict]error{success: nil, failure: failed, abandoned: left}
	type flight struct {
		generation uint64
		done       func(error)
	}
	synctest.Test(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(16, 17))
		opened := 0
		for range 200 {
			ours := &breaker{threshold: 3, first: time.Second, longest: time.Second}
			theirs := gobreaker.NewTwoStepCircuitBreaker[any](gobreaker.Settings{
				MaxRequests: 1, Timeout: time.Second,
				ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= 3 },
				IsExcluded:  func(err error) bool { return errors.Is(err, left) },
			})
			var inFlight []flight
			for range 300 {
				time.Sleep(time.Duration(r.IntN(400))*time.Millisecond + 1) // never exactly the pause
				if r.IntN(2) == 0 || len(inFlight) == 0 {
					generation, ok := ours.admit(time.Now())
					done, err := theirs.Allow()
					require.Equal(t, err == nil, ok)
					if ok {
						inFlight = append(inFlight, flight{generation, done})
					}
					continue
				}
				i := r.IntN(len(inFlight))
				f := inFlight[i]
				inFlight = append(inFlight[:i], inFlight[i+1:]...)
				v := []verdict{success, failure, failure, failure, abandoned}[r.IntN(5)]
				if ours.settle(f.generation, v, 0, time.Now()) {
					ours.open(time.Now(), 0.5) // the middle of the jitter: exactly the pause
					opened++
				}
				f.done(said[v])
			}
		}
		require.Greater(t, opened, 500, "the histories have to trip them")
	})
}
