package onnx

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
)

const (
	relative = 1e-4 // another instruction set rounds differently
	absolute = 1e-5
)

// proveGolden answers the recorded requests and compares; it also warms the session up.
func (s *session) proveGolden() error {
	if len(s.model.Metadata.Golden) == 0 {
		return errors.New("the metadata holds no golden pair")
	}
	for i, pair := range s.model.Metadata.Golden {
		shape, values, err := unnest(pair.Request[inference.Input])
		if err != nil {
			return fmt.Errorf("golden pair %d: %w", i+1, err)
		}
		request := inference.Request{Model: s.model.Name, Shape: shape, Values: single(values)}
		if err := errors.Join(request.Check(), fits(request, s.model.Metadata.Inputs[0])); err != nil {
			return fmt.Errorf("golden pair %d: %w", i+1, err)
		}
		outputs, _, err := s.run(request.Shape, request.Values)
		if err != nil {
			return fmt.Errorf("golden pair %d: %w", i+1, err)
		}
		for name, wanted := range pair.Response {
			_, numbers, err := unnest(wanted)
			if err != nil || !agree(outputs[name], numbers) {
				return fmt.Errorf("golden pair %d answers another %q", i+1, name)
			}
		}
	}
	return nil
}

func agree(got inference.Tensor, wanted []float64) bool {
	if len(got.Floats)+len(got.Ints) != len(wanted) {
		return false
	}
	for i, value := range wanted {
		if got.Ints != nil {
			if float64(got.Ints[i]) != value {
				return false
			}
		} else if !(math.Abs(float64(got.Floats[i])-value) <= absolute+relative*math.Abs(value)) {
			return false // also where it is NaN
		}
	}
	return true
}

// unnest reads lists within lists; the shape is that of the first ones.
func unnest(raw json.RawMessage) ([]int64, []float64, error) {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		var number float64
		if err := json.Unmarshal(raw, &number); err != nil {
			return nil, nil, errors.New("no numbers in lists")
		}
		return nil, []float64{number}, nil
	}
	var inner []int64
	var values []float64
	for _, item := range list {
		shape, more, err := unnest(item)
		if err != nil {
			return nil, nil, err
		}
		inner, values = shape, append(values, more...)
	}
	return append([]int64{int64(len(list))}, inner...), values, nil
}

func single(values []float64) []float32 {
	converted := make([]float32, len(values))
	for i, value := range values {
		converted[i] = float32(value)
	}
	return converted
}
