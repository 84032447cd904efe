package reports_test

import (
	"testing"

	"crossroads/reports"
)

// scenes are the runs on which every form of the report is tested.
func scenes(t testing.TB) map[string]reports.Records {
	return map[string]reports.Records{
		"storefront": synthetic(t, storefront(), []float64{500, 1000, 1500}, 6),
	}
}
