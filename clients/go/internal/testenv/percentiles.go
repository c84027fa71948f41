package testenv

import (
	"slices"
	"testing"
	"time"
)

// Percentiles times single calls and reports their median and 99th percentile.
func Percentiles(b *testing.B, call func() error) {
	for range 100 { // connections, caches
		if err := call(); err != nil {
			b.Fatal(err)
		}
	}
	times := make([]time.Duration, 0, b.N)
	b.ReportAllocs()
	for b.Loop() {
		begin := time.Now()
		if err := call(); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(begin))
	}
	slices.Sort(times)
	microseconds := func(q float64) float64 {
		return float64(times[int(q*float64(len(times)-1))]) / float64(time.Microsecond)
	}
	b.ReportMetric(microseconds(0.5), "p50-us")
	b.ReportMetric(microseconds(0.99), "p99-us")
}
