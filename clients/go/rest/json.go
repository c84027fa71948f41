package rest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
)

// appendFlat writes the values as one JSON list, in the fewest digits that keep the float32.
func appendFlat(to []byte, values []float32) []byte {
	to = append(to, '[')
	for i, value := range values {
		if i > 0 {
			to = append(to, ',')
		}
		to = strconv.AppendFloat(to, float64(value), 'g', -1, 32)
	}
	return append(to, ']')
}

// appendNested writes the values as lists within lists, as the shape says.
func appendNested(to []byte, shape []int64, values []float32) []byte {
	if len(shape) == 1 {
		return appendFlat(to, values)
	}
	to = append(to, '[')
	step := len(values) / int(shape[0])
	for i := range int(shape[0]) {
		if i > 0 {
			to = append(to, ',')
		}
		to = appendNested(to, shape[1:], values[i*step:(i+1)*step])
	}
	return append(to, ']')
}

// decode reads exactly one JSON value.
func decode(body []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("no JSON of the protocol: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON")
	}
	return nil
}

// flatten reads a number or lists of numbers of any depth, row-major.
func flatten(raw json.RawMessage) ([]json.Number, error) {
	var flat []json.Number
	if err := json.Unmarshal(raw, &flat); err == nil && flat != nil && !containsEmpty(flat) {
		return flat, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	flat = flat[:0]
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return flat, nil
		}
		if err != nil {
			return nil, err
		}
		switch value := token.(type) {
		case json.Delim:
			if value == '{' {
				return nil, errors.New("an object where numbers are needed")
			}
		case json.Number:
			flat = append(flat, value)
		default:
			return nil, fmt.Errorf("%v where a number is needed", value)
		}
	}
}

// containsEmpty finds what encoding/json makes of null in a list of numbers.
func containsEmpty(numbers []json.Number) bool {
	for _, number := range numbers {
		if number == "" {
			return true
		}
	}
	return false
}

// floats converts to float32 and refuses what lies outside.
func floats(numbers []json.Number, shape []int64) (inference.Tensor, error) {
	values := make([]float32, len(numbers))
	for i, number := range numbers {
		value, err := strconv.ParseFloat(string(number), 32)
		if err != nil || math.IsInf(value, 0) || math.IsNaN(value) {
			return inference.Tensor{}, fmt.Errorf("%q is no finite float32", number)
		}
		values[i] = float32(value)
	}
	return inference.Tensor{Shape: shape, Floats: values}, nil
}

// ints converts to int64 and refuses fractions.
func ints(numbers []json.Number, shape []int64) (inference.Tensor, error) {
	values := make([]int64, len(numbers))
	for i, number := range numbers {
		value, err := strconv.ParseInt(string(number), 10, 64)
		if err != nil {
			return inference.Tensor{}, fmt.Errorf("%q is no int64", number)
		}
		values[i] = value
	}
	return inference.Tensor{Shape: shape, Ints: values}, nil
}
