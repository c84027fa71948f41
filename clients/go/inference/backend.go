// Package inference holds what all back ends share: one request, one answer, one error type.
package inference

import (
	"context"
	"math"
)

// Input is the name of the only input of every DWCP model.
const Input = "features"

// Backend answers requests. Implementations are safe for concurrent use.
type Backend interface {
	// Infer answers one request. Every error is an *Error.
	Infer(ctx context.Context, request Request) (Answer, error)
	// Close frees connections and sessions; later calls fail with ErrClosed.
	Close() error
}

// Judge is a Backend that wants to know how good its answers were.
type Judge interface {
	// Judge tells the relative error, 0 and up, of an earlier answer of that arm.
	Judge(arm string, relativeError float64)
}

// Request is the input of one model.
type Request struct {
	Model  string    // name in the registry
	Key    string    // link, node or cluster the rows are about; empty if unknown
	Shape  []int64   // batch first, for example 1, 10, 7
	Values []float32 // row-major, finite
}

// Tensor is one output. Only V1, which carries no types, fills both lists.
type Tensor struct {
	Shape  []int64   // batch first
	Floats []float32 // for FP32 outputs
	Ints   []int64   // for INT64 outputs
}

// Answer holds the outputs of one request and who gave them.
type Answer struct {
	Version  string // for example v1.0, empty if the server does not say
	Revision string // of the service, empty if the server does not say
	Arm      string // set by package abtest
	Outputs  map[string]Tensor
}

// Check refuses shapes without rows, lengths that contradict the shape, NaN and infinities.
//
// An empty batch is refused here because ONNX Runtime's LSTM ends the process on it.
func (r Request) Check() error {
	if r.Model == "" {
		return Errorf(ErrInput, "", "the request names no model")
	}
	if len(r.Shape) < 2 {
		return Errorf(ErrInput, r.Model, "shape %v has no batch and feature dimension", r.Shape)
	}
	size, ok := Size(r.Shape)
	if !ok || size == 0 || size != len(r.Values) {
		return Errorf(ErrInput, r.Model, "shape %v does not hold %d values", r.Shape, len(r.Values))
	}
	for i, value := range r.Values {
		if v := float64(value); math.IsNaN(v) || math.IsInf(v, 0) {
			return Errorf(ErrInput, r.Model, "value %d is %v, a finite number is needed", i, value)
		}
	}
	return nil
}

// Size is the number of elements of a shape; false where a dimension is negative or the product
// is beyond 2^31.
func Size(shape []int64) (int, bool) {
	size := int64(1)
	for _, dimension := range shape {
		if dimension < 0 || dimension > math.MaxInt32 {
			return 0, false
		}
		if size *= dimension; size > math.MaxInt32 {
			return 0, false
		}
	}
	return int(size), true
}
