//go:build !race

package gateway

const allocationBound = 1.0
