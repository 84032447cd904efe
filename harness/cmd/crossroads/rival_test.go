package main

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"crossroads/harness/rivals"
)

// TestUnusableRival: what is not installed did not start; what a rival cannot do is a fault of the file. Both say how to mend it.
func TestUnusableRival(t *testing.T) {
	for _, c := range []struct {
		missing bool
		want    int
	}{{true, exitTarget}, {false, exitUsage}} {
		var complaint bytes.Buffer
		a := &app{stdout: &bytes.Buffer{}, stderr: &complaint}
		err := fmt.Errorf("joined: %w", &rivals.Unusable{Arm: "nginx", Rival: "nginx", Missing: c.missing, Reason: "it is not there", Mend: "install it"})
		require.Equal(t, c.want, a.report(err))
		require.Equal(t, "error: joined: topology nginx: it is not there\nhint: install it\n", complaint.String())
	}
}
