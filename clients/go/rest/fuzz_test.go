package rest

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
)

var row = inference.Request{Model: "m", Shape: []int64{2, 3}, Values: []float32{1, 2, 3, 4, 5, 6}}

// FuzzAnswer: no body panics, and what is read holds finite numbers of the shape's size.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"outputs":[{"name":"a","datatype":"FP32","shape":[1],"data":[0.25]}]}`))
	f.Add([]byte(`{"outputs":[{"name":"a","datatype":"INT64","shape":[1,2],"data":[[1,2]]}]}`))
	f.Add([]byte(`{"predictions":[{"a":1,"b":[1.5,2]},{"a":1,"b":[1.5,2]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, spoken := range []protocol{v1{}, v2{}} {
			answer, err := spoken.answer(row, body)
			if err != nil {
				continue
			}
			for name, tensor := range answer.Outputs {
				size, ok := inference.Size(tensor.Shape)
				if !ok || size != max(len(tensor.Floats), len(tensor.Ints)) {
					t.Errorf("%s: shape %v of %v", name, tensor.Shape, tensor)
				}
				for _, value := range tensor.Floats {
					if math.IsNaN(float64(value)) || math.IsInf(float64(value), 0) {
						t.Errorf("%s holds %v", name, value)
					}
				}
			}
		}
	})
}

// FuzzBody: every finite float32 survives both bodies.
func FuzzBody(f *testing.F) {
	f.Add(float32(0.1), float32(-1e-45))
	f.Add(float32(math.MaxFloat32), float32(65536))
	f.Fuzz(func(t *testing.T, a, b float32) {
		request := inference.Request{Model: "m", Shape: []int64{1, 2, 1}, Values: []float32{a, b}}
		if request.Check() != nil {
			t.Skip()
		}
		var second struct{ Inputs []struct{ Data []float32 } }
		var first struct{ Instances [][][]float32 }
		if err := json.Unmarshal(v2{}.body(request), &second); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(v1{}.body(request), &first); err != nil {
			t.Fatal(err)
		}
		if second.Inputs[0].Data[0] != a || second.Inputs[0].Data[1] != b ||
			first.Instances[0][0][0] != a || first.Instances[0][1][0] != b {
			t.Errorf("%v %v became %v and %v", a, b, second, first)
		}
	})
}
