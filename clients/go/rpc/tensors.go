package rpc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
	"github.com/dwcp/dwcp-ml/clients/go/rpc/oip"
)

// encode writes the values as raw little-endian bytes.
func encode(request inference.Request, id string) *oip.ModelInferRequest {
	raw := make([]byte, 0, 4*len(request.Values))
	for _, value := range request.Values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(value))
	}
	return &oip.ModelInferRequest{
		ModelName:        request.Model,
		Id:               id,
		Inputs:           []*oip.InferTensor{{Name: inference.Input, Datatype: "FP32", Shape: request.Shape}},
		RawInputContents: [][]byte{raw},
	}
}

// read accepts raw and typed contents.
func read(request inference.Request, response *oip.ModelInferResponse) (inference.Answer, error) {
	answer := inference.Answer{Version: response.GetModelVersion()}
	if name := response.GetModelName(); name != "" && name != request.Model {
		return answer, fmt.Errorf("it is about the model %q", name)
	}
	outputs, raw := response.GetOutputs(), response.GetRawOutputContents()
	if len(outputs) == 0 {
		return answer, errors.New("it holds no outputs")
	}
	if len(raw) != 0 && len(raw) != len(outputs) {
		return answer, fmt.Errorf("%d raw tensors for %d outputs", len(raw), len(outputs))
	}
	answer.Outputs = make(map[string]inference.Tensor, len(outputs))
	for i, output := range outputs {
		tensor, err := typed(output)
		if len(raw) != 0 {
			tensor, err = unpacked(output, raw[i])
		}
		if err == nil {
			err = holds(output.GetShape(), len(tensor.Floats)+len(tensor.Ints))
		}
		if err != nil {
			return answer, fmt.Errorf("output %q: %w", output.GetName(), err)
		}
		answer.Outputs[output.GetName()] = tensor
	}
	return answer, nil
}

func typed(output *oip.InferTensor) (inference.Tensor, error) {
	tensor := inference.Tensor{Shape: output.GetShape()}
	contents := output.GetContents()
	switch output.GetDatatype() {
	case "FP32":
		tensor.Floats = contents.GetFp32Contents()
	case "INT64":
		tensor.Ints = contents.GetInt64Contents()
	default:
		return tensor, fmt.Errorf("datatype %q is not of these models", output.GetDatatype())
	}
	return tensor, nil
}

func unpacked(output *oip.InferTensor, raw []byte) (inference.Tensor, error) {
	tensor := inference.Tensor{Shape: output.GetShape()}
	width := map[string]int{"FP32": 4, "INT64": 8}[output.GetDatatype()]
	if width == 0 {
		return tensor, fmt.Errorf("datatype %q is not of these models", output.GetDatatype())
	}
	if len(raw)%width != 0 {
		return tensor, fmt.Errorf("%d bytes are no whole number of %s", len(raw), output.GetDatatype())
	}
	for ; len(raw) > 0; raw = raw[width:] {
		if width == 4 {
			tensor.Floats = append(tensor.Floats, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
		} else {
			tensor.Ints = append(tensor.Ints, int64(binary.LittleEndian.Uint64(raw)))
		}
	}
	return tensor, nil
}

func holds(shape []int64, count int) error {
	if size, ok := inference.Size(shape); !ok || size != count {
		return fmt.Errorf("shape %v does not hold %d values", shape, count)
	}
	return nil
}
