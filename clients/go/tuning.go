package dwcpml

import (
	"math"
	"time"
)

const (
	segmentBytes = 1460 // TCP payload of an Ethernet frame
	// mathisC is the constant of Mathis, Semke, Mahdavi and Ott, "The Macroscopic Behavior of the
	// TCP Congestion Avoidance Algorithm" (1997), for periodic loss and no delayed acknowledgement:
	// sqrt(3/2).
	mathisC = 1.2247448713915890
)

// Limits bounds what [Link] advises.
type Limits struct {
	MinStreams, MaxStreams, DefaultStreams int
	MinBuffer, MaxBuffer, DefaultBuffer    int           // byte
	MinConfidence                          float64       // 0 to 1; below it the defaults hold
	MaxAge                                 time.Duration // of a forecast; beyond it the defaults hold
}

// DefaultLimits is 2 to 16 streams, 4 by default; 16 KiB to 64 MiB of buffer, 64 KiB by default;
// half confidence; ten minutes.
func DefaultLimits() Limits {
	return Limits{
		MinStreams: 2, MaxStreams: 16, DefaultStreams: 4,
		MinBuffer: 16 << 10, MaxBuffer: 64 << 20, DefaultBuffer: 64 << 10,
		MinConfidence: 0.5, MaxAge: 10 * time.Minute,
	}
}

// StreamCount is the forecast throughput over what one TCP stream reaches at the forecast round
// trip and loss, rounded up: C * segment / (rtt * sqrt(loss)), Mathis et al. 1997. Without loss
// one stream is enough, so the least count is the answer.
func StreamCount(forecast Forecast, limits Limits) int {
	perStreamMbps := mathisC * segmentBytes * 8 / (forecast.RTTMs / 1000 * math.Sqrt(forecast.PacketLoss)) / 1e6
	return bounded(math.Ceil(forecast.ThroughputMbps/perStreamMbps), limits.MinStreams, limits.MaxStreams)
}

// BufferSize is the bandwidth-delay product, byte: throughput (bit/s) * rtt (s) / 8.
func BufferSize(forecast Forecast, limits Limits) int {
	product := forecast.ThroughputMbps * 1e6 * forecast.RTTMs / 1000 / 8
	return bounded(math.Ceil(product), limits.MinBuffer, limits.MaxBuffer)
}

// bounded also takes NaN, to the least.
func bounded(value float64, least, most int) int {
	if !(value > float64(least)) {
		return least
	}
	return int(math.Min(value, float64(most)))
}
