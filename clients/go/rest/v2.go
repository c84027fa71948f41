package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"sync/atomic"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
)

// v2 is the Open Inference Protocol with JSON tensors.
type v2 struct{}

var requests atomic.Uint64 // some servers fail without a request id

func (v2) path(model string) string { return "v2/models/" + url.PathEscape(model) + "/infer" }

func (v2) body(request inference.Request) []byte {
	body := make([]byte, 0, 128+12*len(request.Values))
	body = append(body, `{"id":"`...)
	body = strconv.AppendUint(body, requests.Add(1), 10)
	body = append(body, `","inputs":[{"name":"`+inference.Input+`","datatype":"FP32","shape":[`...)
	for i, dimension := range request.Shape {
		if i > 0 {
			body = append(body, ',')
		}
		body = strconv.AppendInt(body, dimension, 10)
	}
	body = append(body, `],"data":`...)
	body = appendFlat(body, request.Values)
	return append(body, `}]}`...)
}

type v2Output struct {
	Name     string          `json:"name"`
	Datatype string          `json:"datatype"`
	Shape    []int64         `json:"shape"`
	Data     json.RawMessage `json:"data"`
}

func (v2) answer(request inference.Request, body []byte) (inference.Answer, error) {
	var read struct {
		ModelName    string     `json:"model_name"`
		ModelVersion string     `json:"model_version"`
		Outputs      []v2Output `json:"outputs"`
	}
	if err := decode(body, &read); err != nil {
		return inference.Answer{}, err
	}
	if read.ModelName != "" && read.ModelName != request.Model {
		return inference.Answer{}, fmt.Errorf("it is about the model %q", read.ModelName)
	}
	if len(read.Outputs) == 0 {
		return inference.Answer{}, errors.New("it holds no outputs")
	}
	answer := inference.Answer{
		Version: read.ModelVersion, Outputs: make(map[string]inference.Tensor, len(read.Outputs)),
	}
	for _, output := range read.Outputs {
		tensor, err := output.tensor()
		if err != nil {
			return inference.Answer{}, fmt.Errorf("output %q: %w", output.Name, err)
		}
		answer.Outputs[output.Name] = tensor
	}
	return answer, nil
}

func (o v2Output) tensor() (inference.Tensor, error) {
	numbers, err := flatten(o.Data)
	if err != nil {
		return inference.Tensor{}, err
	}
	if size, ok := inference.Size(o.Shape); !ok || size != len(numbers) {
		return inference.Tensor{}, fmt.Errorf("shape %v does not hold %d values", o.Shape, len(numbers))
	}
	switch o.Datatype {
	case "FP32", "FP64":
		return floats(numbers, o.Shape)
	case "INT64", "INT32":
		return ints(numbers, o.Shape)
	}
	return inference.Tensor{}, fmt.Errorf("datatype %q is not of these models", o.Datatype)
}
