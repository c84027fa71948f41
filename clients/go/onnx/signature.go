package onnx

import (
	"errors"
	"fmt"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
	"github.com/dwcp/dwcp-ml/clients/go/registry"
)

var dtypes = map[string]ort.TensorElementDataType{
	"float32": ort.TensorElementDataTypeFloat, "int64": ort.TensorElementDataTypeInt64,
}

// sameSignature compares the graph's inputs and outputs with the metadata's.
func sameSignature(model *registry.Model) error {
	inputs, outputs, err := ort.GetInputOutputInfoWithONNXData(model.Graph)
	if err != nil {
		return err
	}
	about := model.Metadata
	if len(inputs) != 1 || len(about.Inputs) != 1 || about.Inputs[0].Name != inference.Input {
		return errors.New("the one input 'features' is needed")
	}
	if len(outputs) != len(about.Outputs) || len(outputs) == 0 {
		return fmt.Errorf("the graph has %d outputs, the metadata %d", len(outputs), len(about.Outputs))
	}
	for i, described := range append(about.Inputs[:1:1], about.Outputs...) {
		graph := inputs[0]
		if i > 0 {
			graph = outputs[i-1]
		}
		if err := alike(described, graph); err != nil {
			return err
		}
	}
	return nil
}

func alike(described registry.Tensor, graph ort.InputOutputInfo) error {
	if described.Name != graph.Name || dtypes[described.Dtype] != graph.DataType {
		return fmt.Errorf("the graph has %q of %v where the metadata has %q of %s",
			graph.Name, graph.DataType, described.Name, described.Dtype)
	}
	if len(described.Shape) != len(graph.Dimensions) {
		return fmt.Errorf("%q has the shape %v in the graph, %v in the metadata",
			graph.Name, graph.Dimensions, described.Shape)
	}
	for i, dimension := range described.Shape {
		if fixed, ok := dimension.(float64); ok && int64(fixed) != graph.Dimensions[i] {
			return fmt.Errorf("%q has the shape %v in the graph, %v in the metadata",
				graph.Name, graph.Dimensions, described.Shape)
		}
	}
	return nil
}

// fits checks a request's shape against the metadata's; free dimensions take any size
// from 1, or from what the metadata calls the least.
func fits(request inference.Request, described registry.Tensor) error {
	ok := len(request.Shape) == len(described.Shape)
	for i := 0; ok && i < len(request.Shape); i++ {
		switch size := described.Shape[i].(type) {
		case float64:
			ok = int64(size) == request.Shape[i]
		case string:
			ok = request.Shape[i] >= described.Least[size]
		}
	}
	if !ok {
		return inference.Errorf(inference.ErrInput, request.Model,
			"shape %v was sent where %v is needed", request.Shape, described.Shape)
	}
	return nil
}
