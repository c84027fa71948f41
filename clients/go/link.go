package dwcpml

import (
	"context"
	"sync"
	"time"
)

// Link steers one link's transfers by its newest forecast. It is safe for concurrent use.
type Link struct {
	client   *Client
	name     string
	mu       sync.RWMutex
	forecast Forecast
	made     bool
}

// Link returns the steering of a link, for example "node-a/node-b". Links of one name share their
// history, not their newest forecast.
func (c *Client) Link(name string) *Link { return &Link{client: c, name: name} }

// Observe passes the link's newest step (7 values, see [ModelInferenceClient]) and keeps the
// forecast that follows from it. After an error the forecast before stays, until it is too old.
func (l *Link) Observe(ctx context.Context, step []float64) (Forecast, error) {
	forecast, err := l.client.Forecast(WithLink(ctx, l.name), step)
	if err != nil {
		return Forecast{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forecast, l.made = forecast, true
	return forecast, nil
}

// GetPrediction returns the newest forecast; false before the first and when it is older than
// Limits.MaxAge.
func (l *Link) GetPrediction() (Forecast, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.forecast, l.made && time.Since(l.forecast.At) <= l.client.limits.MaxAge
}

// GetOptimalStreamCount is the number of parallel streams that fill the forecast throughput, and
// Limits.DefaultStreams without a forecast that is young and confident enough. See [StreamCount].
func (l *Link) GetOptimalStreamCount() int {
	limits := l.client.limits
	forecast, ok := l.GetPrediction()
	if !ok || forecast.Confidence < limits.MinConfidence {
		return limits.DefaultStreams
	}
	return StreamCount(forecast, limits)
}

// GetOptimalBufferSize is the send buffer of all streams together, byte: the forecast's
// bandwidth-delay product, and Limits.DefaultBuffer without a forecast that is young and
// confident enough. See [BufferSize].
func (l *Link) GetOptimalBufferSize() int {
	limits := l.client.limits
	forecast, ok := l.GetPrediction()
	if !ok || forecast.Confidence < limits.MinConfidence {
		return limits.DefaultBuffer
	}
	return BufferSize(forecast, limits)
}
