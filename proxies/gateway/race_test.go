//go:build race

package gateway

const allocationBound = 20.0
