package rest

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
)

// v1 is TensorFlow Serving's predict call in its row form: one instance per row, one prediction
// per row, an object of all outputs by name.
type v1 struct{}

func (v1) path(model string) string { return "v1/models/" + url.PathEscape(model) + ":predict" }

func (v1) body(request inference.Request) []byte {
	body := make([]byte, 0, 32+12*len(request.Values))
	body = append(body, `{"instances":`...)
	body = appendNested(body, request.Shape, request.Values)
	return append(body, '}')
}

func (v1) answer(request inference.Request, body []byte) (inference.Answer, error) {
	var read struct {
		Predictions []map[string]json.RawMessage `json:"predictions"`
	}
	if err := decode(body, &read); err != nil {
		return inference.Answer{}, err
	}
	rows := int(request.Shape[0])
	if len(read.Predictions) != rows {
		return inference.Answer{}, fmt.Errorf("it holds %d predictions for %d rows", len(read.Predictions), rows)
	}
	answer := inference.Answer{Outputs: make(map[string]inference.Tensor, len(read.Predictions[0]))}
	for name := range read.Predictions[0] {
		tensor, err := column(name, read.Predictions)
		if err != nil {
			return inference.Answer{}, fmt.Errorf("output %q: %w", name, err)
		}
		answer.Outputs[name] = tensor
	}
	return answer, nil
}

// column joins one output of all rows. V1 carries no types: an output whose numbers are all
// written without point and exponent is offered as whole numbers as well.
func column(name string, rows []map[string]json.RawMessage) (inference.Tensor, error) {
	var all []json.Number
	width := 0
	for i, row := range rows {
		numbers, err := flatten(row[name])
		if err != nil {
			return inference.Tensor{}, err
		}
		if i == 0 {
			width = len(numbers)
		}
		if len(numbers) == 0 || len(numbers) != width {
			return inference.Tensor{}, fmt.Errorf("row %d holds %d values, row 0 %d", i, len(numbers), width)
		}
		all = append(all, numbers...)
	}
	shape := []int64{int64(len(rows))}
	if width > 1 {
		shape = append(shape, int64(width))
	}
	tensor, err := floats(all, shape)
	if err == nil && whole(all) {
		if counted, err := ints(all, shape); err == nil {
			tensor.Ints = counted.Ints
		}
	}
	return tensor, err
}

func whole(numbers []json.Number) bool {
	for _, number := range numbers {
		if strings.ContainsAny(string(number), ".eE") {
			return false
		}
	}
	return true
}
