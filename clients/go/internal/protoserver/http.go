// Package protoserver is a strict server of the three protocols over any back end. The tests
// speak to it where the real server is not at hand.
package protoserver

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
)

// HTTP serves V1 and V2. Anything that is not exactly the protocol is a 400.
func HTTP(backend inference.Backend) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v2/models/{model}/infer", func(w http.ResponseWriter, r *http.Request) {
		request, err := readV2(r)
		respond(w, r, backend, request, err, writeV2)
	})
	mux.HandleFunc("POST /v1/models/{call}", func(w http.ResponseWriter, r *http.Request) {
		request, err := readV1(r)
		respond(w, r, backend, request, err, writeV1)
	})
	return mux
}

func respond(
	w http.ResponseWriter, r *http.Request, backend inference.Backend, request inference.Request,
	err error, write func(inference.Request, inference.Answer) any,
) {
	var answer inference.Answer
	if err == nil {
		answer, err = backend.Infer(r.Context(), request)
	}
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(httpStatus(err))
		_ = json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
		return
	}
	w.Header().Set("x-model-version", answer.Version)
	w.Header().Set("x-model-revision", answer.Revision)
	_ = json.NewEncoder(w).Encode(write(request, answer))
}

func httpStatus(err error) int {
	switch inference.KindOf(err) {
	case inference.ErrModel:
		return http.StatusNotFound
	case "", inference.ErrInput:
		return http.StatusBadRequest
	default:
		return http.StatusInternalServerError
	}
}

type tensorV2 struct {
	Name     string  `json:"name"`
	Datatype string  `json:"datatype"`
	Shape    []int64 `json:"shape"`
	Data     any     `json:"data"`
}

func readV2(r *http.Request) (inference.Request, error) {
	var body struct {
		ID     string `json:"id"`
		Inputs []struct {
			Name     string    `json:"name"`
			Datatype string    `json:"datatype"`
			Shape    []int64   `json:"shape"`
			Data     []float32 `json:"data"`
		} `json:"inputs"`
	}
	if err := strict(r, &body); err != nil {
		return inference.Request{}, err
	}
	if body.ID == "" || len(body.Inputs) != 1 || body.Inputs[0].Name != inference.Input ||
		body.Inputs[0].Datatype != "FP32" {
		return inference.Request{}, errors.New("an id and one FP32 input 'features' are needed")
	}
	input := body.Inputs[0]
	return inference.Request{Model: r.PathValue("model"), Shape: input.Shape, Values: input.Data}, nil
}

func strict(r *http.Request, into any) error {
	if r.Header.Get("Content-Type") != "application/json" {
		return errors.New("the content type is not application/json")
	}
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	return decoder.Decode(into)
}

func writeV2(request inference.Request, answer inference.Answer) any {
	var outputs []tensorV2
	for _, name := range names(answer) {
		tensor := answer.Outputs[name]
		output := tensorV2{Name: name, Datatype: "FP32", Shape: tensor.Shape, Data: tensor.Floats}
		if tensor.Ints != nil {
			output.Datatype, output.Data = "INT64", tensor.Ints
		}
		outputs = append(outputs, output)
	}
	return map[string]any{"model_name": request.Model, "model_version": answer.Version, "outputs": outputs}
}

func names(answer inference.Answer) []string {
	var names []string
	for name := range answer.Outputs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func readV1(r *http.Request) (inference.Request, error) {
	model, verb, _ := strings.Cut(r.PathValue("call"), ":")
	var body struct {
		Instances []any `json:"instances"`
	}
	if err := strict(r, &body); err != nil {
		return inference.Request{}, err
	}
	if verb != "predict" || len(body.Instances) == 0 {
		return inference.Request{}, errors.New("instances to predict are needed")
	}
	request := inference.Request{Model: model}
	return request, gather(&request, body.Instances, 0)
}

// gather walks lists within lists; all lists of one depth have one length.
func gather(request *inference.Request, list []any, depth int) error {
	if len(request.Shape) == depth {
		request.Shape = append(request.Shape, int64(len(list)))
	}
	if request.Shape[depth] != int64(len(list)) {
		return errors.New("ragged instances")
	}
	for _, item := range list {
		switch value := item.(type) {
		case []any:
			if err := gather(request, value, depth+1); err != nil {
				return err
			}
		case float64:
			request.Values = append(request.Values, float32(value))
		default:
			return errors.New("no number")
		}
	}
	return nil
}

func writeV1(request inference.Request, answer inference.Answer) any {
	rows := make([]map[string]any, request.Shape[0])
	for i := range rows {
		rows[i] = map[string]any{}
		for name, tensor := range answer.Outputs {
			width := (len(tensor.Floats) + len(tensor.Ints)) / len(rows)
			switch {
			case tensor.Ints != nil:
				rows[i][name] = tensor.Ints[i]
			case len(tensor.Shape) == 1:
				rows[i][name] = tensor.Floats[i]
			default:
				rows[i][name] = tensor.Floats[i*width : (i+1)*width]
			}
		}
	}
	return map[string]any{"predictions": rows}
}
