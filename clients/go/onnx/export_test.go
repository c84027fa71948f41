package onnx

import (
	ort "github.com/yalue/onnxruntime_go"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
)

// BareRun returns the runtime's own call on tensors that are made once: the bound of Infer.
func BareRun(b *Backend, request inference.Request) (func() error, error) {
	current, err := b.session(request.Model)
	if err != nil {
		return nil, err
	}
	input, err := ort.NewTensor(ort.Shape(request.Shape), request.Values)
	if err != nil {
		return nil, err
	}
	outputs := make([]ort.Value, len(current.outputs))
	inputs := []ort.Value{input}
	// The first run allocates the outputs, the next ones write into them.
	return func() error { return current.runtime.Run(inputs, outputs) }, nil
}
