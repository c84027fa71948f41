package dwcpml

import (
	"math"
	"slices"
)

const (
	stepValues  = 7  // features of one step
	windowSteps = 10 // steps the bandwidth model reads
	throughput  = 2  // index of throughput_mbps in a step
	// priorError is what a link without a record is taken to miss by: the registry's gate, above
	// which no bandwidth model is registered.
	priorError   = 0.05
	errorWeight  = 0.1  // of the newest error in a link's running mean
	leastMbps    = 0.01 // below it, relative errors mean nothing
	worstCounted = 1.0  // a larger relative error counts as this one
)

// linkState is what is remembered of a link.
type linkState struct {
	rows    []float32 // up to windowSteps steps, oldest first
	error   float64   // running mean of relative errors
	scored  bool      // whether error holds anything
	pending *pending  // the forecast that the next step will judge
}

type pending struct {
	mbps float64
	arm  string
}

// verdict is how a forecast turned out.
type verdict struct {
	arm   string
	error float64 // relative, 0 to worstCounted
}

// take adds one step, or replaces the window by ten, and judges the forecast before if the
// window has moved by exactly one step.
func (s *linkState) take(values []float32) *verdict {
	moved := len(values) == stepValues
	if !moved {
		moved = len(s.rows) == len(values) && slices.Equal(s.rows[stepValues:], values[:len(values)-stepValues])
	}
	var judged *verdict
	if moved && s.pending != nil {
		judged = s.judge(float64(values[len(values)-stepValues+throughput]))
	}
	s.pending = nil
	if len(values) == stepValues {
		values = append(s.rows, values...)
	}
	s.rows = slices.Clone(values[max(0, len(values)-windowSteps*stepValues):])
	return judged
}

func (s *linkState) judge(actual float64) *verdict {
	miss := math.Abs(s.pending.mbps-actual) / math.Max(math.Abs(actual), leastMbps)
	miss = math.Min(miss, worstCounted)
	if !s.scored {
		s.error, s.scored = priorError, true
	}
	s.error += errorWeight * (miss - s.error)
	return &verdict{arm: s.pending.arm, error: miss}
}

// confidence is the share of real steps times one minus the link's mean relative error.
func (s *linkState) confidence() float64 {
	steps, miss := len(s.rows)/stepValues, priorError
	if s.scored {
		miss = s.error
	}
	return float64(steps) / windowSteps * (1 - miss)
}

// padded returns ten steps: the oldest known one stands for those before it.
func padded(rows []float32) []float32 {
	window := make([]float32, 0, windowSteps*stepValues)
	for range windowSteps - len(rows)/stepValues {
		window = append(window, rows[:stepValues]...)
	}
	return append(window, rows...)
}
