package dwcpml

import (
	"math"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
)

// checked converts features to float32; every one must be finite in float32.
func checked(model string, features []float64) ([]float32, error) {
	values := make([]float32, len(features))
	for i, feature := range features {
		values[i] = float32(feature)
		if v := float64(values[i]); math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, inference.Errorf(ErrInput, model,
				"feature %d is %v, a finite 32-bit number is needed", i, feature)
		}
	}
	return values, nil
}

// number reads one float of the first row.
func number(model string, answer inference.Answer, output string, index, width int) (float64, error) {
	tensor := answer.Outputs[output]
	if len(tensor.Floats) != width {
		return 0, malformed(model, "output %q holds %d numbers, %d are needed", output, len(tensor.Floats), width)
	}
	value := float64(tensor.Floats[index])
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return 0, malformed(model, "output %q is %v", output, value)
	}
	return value, nil
}

// choice reads one whole number between 0 and most.
func choice(model string, answer inference.Answer, output string, most int64) (int, error) {
	tensor := answer.Outputs[output]
	if len(tensor.Ints) != 1 {
		return 0, malformed(model, "output %q holds %d whole numbers, 1 is needed", output, len(tensor.Ints))
	}
	if value := tensor.Ints[0]; value < 0 || value > most {
		return 0, malformed(model, "output %q is %d, outside 0 to %d", output, value, most)
	}
	return int(tensor.Ints[0]), nil
}

func malformed(model, format string, values ...any) error {
	return inference.Errorf(ErrAnswer, model, format, values...)
}
