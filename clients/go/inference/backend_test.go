package inference_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
)

func TestRequestsThatCannotBeAnsweredAreRefused(t *testing.T) {
	inf := float32(math.Inf(1))
	for name, request := range map[string]inference.Request{
		"no model":       {Shape: []int64{1, 2}, Values: []float32{1, 2}},
		"no batch":       {Model: "m", Shape: []int64{2}, Values: []float32{1, 2}},
		"empty batch":    {Model: "m", Shape: []int64{0, 2}},
		"negative":       {Model: "m", Shape: []int64{-1, -2}, Values: []float32{1, 2}},
		"too few values": {Model: "m", Shape: []int64{1, 3}, Values: []float32{1, 2}},
		"overflow":       {Model: "m", Shape: []int64{1 << 32, 1 << 32}},
		"NaN":            {Model: "m", Shape: []int64{1, 2}, Values: []float32{1, float32(math.NaN())}},
		"infinite":       {Model: "m", Shape: []int64{1, 2}, Values: []float32{-inf, inf}},
	} {
		if err := request.Check(); !errors.Is(err, inference.ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnErrorTellsKindPlaceAndCause(t *testing.T) {
	err := error(&inference.Error{
		Kind: inference.ErrTimeout, Model: "m", Where: "host:1", Text: "slow", Err: context.DeadlineExceeded,
	})
	if !errors.Is(err, inference.ErrTimeout) || errors.Is(err, inference.ErrInput) ||
		!errors.Is(err, context.DeadlineExceeded) || inference.KindOf(err) != inference.ErrTimeout {
		t.Errorf("%v is not what it is", err)
	}
	for _, part := range []string{"m: ", "host:1: ", "timeout: ", "slow: ", "deadline"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q lacks %q", err, part)
		}
	}
}

// FuzzCheck: what passes has exactly the shape's finite values.
func FuzzCheck(f *testing.F) {
	f.Add(int64(1), int64(7), int64(1), 7, float32(1))
	f.Add(int64(math.MaxInt64), int64(2), int64(math.MinInt64), 0, float32(0))
	f.Fuzz(func(t *testing.T, a, b, c int64, n int, value float32) {
		values := make([]float32, max(0, min(n, 1000)))
		for i := range values {
			values[i] = value
		}
		request := inference.Request{Model: "m", Shape: []int64{a, b, c}, Values: values}
		if request.Check() == nil && (a*b*c != int64(len(values)) || len(values) == 0 || value != value) {
			t.Errorf("%v passed", request)
		}
	})
}
