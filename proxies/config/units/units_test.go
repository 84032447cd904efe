package units

import (
	"encoding"
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRead(t *testing.T) {
	for _, c := range []struct {
		into    interface{ UnmarshalText([]byte) error }
		text    string
		want    any
		printed string
	}{
		{new(Duration), "250us", Duration(250 * time.Microsecond), "250us"},
		{new(Duration), "1.5s", Duration(1500 * time.Millisecond), "1.5s"},
		{new(Duration), "60s", Duration(time.Minute), "1m"},
		{new(Duration), "70m", Duration(70 * time.Minute), "1h10m"},
		{new(Duration), "2h", Duration(2 * time.Hour), "2h"},
		{new(Duration), "10m", Duration(10 * time.Minute), "10m"},
		{new(Duration), "1h0m5s", Duration(time.Hour + 5*time.Second), "1h0m5s"},
		{new(Duration), "0", Duration(0), "0s"},
		{new(Bytes), "4KiB", Bytes(4096), "4KiB"},
		{new(Bytes), "1.5KiB", Bytes(1536), "1536B"},
		{new(Bytes), "1MB", Bytes(1e6), "1000000B"},
		{new(Bytes), "3GiB", Bytes(3 << 30), "3GiB"},
		{new(Bytes), "256B", Bytes(256), "256B"},
		{new(Bytes), "0", Bytes(0), "0B"},
		{new(Count), "500", Count(500), "500"},
		{new(Count), "1.5k", Count(1500), "1.5k"},
		{new(Count), "1250", Count(1250), "1250"},
		{new(Count), "2M", Count(2e6), "2M"},
		{new(Count), "0.5", Count(0.5), "0.5"},
		{new(Share), "50%", Share(0.5), "50%"},
		{new(Share), "0.1%", Share(0.001), "0.1%"},
		{new(Share), "100%", Share(1), "100%"},
		{new(Share), "0%", Share(0), "0%"},
		{new(Share), "0.00001%", Share(0.0000001), "0.00001%"},
	} {
		require.NoError(t, c.into.UnmarshalText([]byte(c.text)), c.text)
		require.EqualValues(t, fmt.Sprint(c.want), fmt.Sprint(c.into), c.text)
		printed, err := c.into.(encoding.TextMarshaler).MarshalText()
		require.NoError(t, err)
		require.Equal(t, c.printed, string(printed))
	}
}

func TestRefuse(t *testing.T) {
	for _, c := range []struct {
		into interface{ UnmarshalText([]byte) error }
		text []string
	}{
		{new(Duration), []string{"", "5", "1 s", "-1s", "1d", "s", "1e3s", "3000000h", "NaNs"}},
		{new(Bytes), []string{"", "5", "B", "-1B", "4K", "4kb", "1TiB1", "NaNB", "InfB", "1e30B", "0x1pB", "2000000GiB"}},
		{new(Count), []string{"", "k", "-1", "1K", "1kk", "NaN", "Inf", "0x1p4", "1_000", "1e13", "9999999999M"}},
		{new(Share), []string{"", "50", "%", "-1%", "101%", "NaN%", "0x1%", "50%%", "0.5"}},
	} {
		for _, text := range c.text {
			require.Error(t, c.into.UnmarshalText([]byte(text)), "%T %q", c.into, text)
		}
	}
}

// TestPrintedReadsBack is the package's invariant.
func TestPrintedReadsBack(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for range 20_000 {
		d := Duration(r.Int63n(int64(1000 * time.Hour)))
		check(t, &d, new(Duration))
		b := Bytes(r.Int63n(1 << uint(1+r.Intn(49))))
		check(t, &b, new(Bytes))
		for _, f := range []float64{r.Float64(), float64(r.Intn(1e6)) / 1e6, float64(r.Intn(1001)) / 1000} {
			c, s := Count(f*1e6), Share(f)
			check(t, &c, new(Count))
			check(t, &s, new(Share))
		}
	}
}

type quantity interface {
	encoding.TextMarshaler
	encoding.TextUnmarshaler
}

func check(t *testing.T, v, back quantity) {
	text, err := v.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	if err := back.UnmarshalText(text); err != nil {
		t.Fatal(err)
	}
	again, err := back.MarshalText()
	if err != nil || string(again) != string(text) || !equal(v, back) {
		t.Fatalf("%T %v is printed %q and read back as %v", v, v, text, back)
	}
}

func equal(a, b quantity) bool {
	switch a := a.(type) {
	case *Duration:
		return *a == *b.(*Duration)
	case *Bytes:
		return *a == *b.(*Bytes)
	case *Count:
		return *a == *b.(*Count)
	case *Share:
		return *a == *b.(*Share)
	}
	return false
}
