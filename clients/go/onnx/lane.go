package onnx

import (
	"fmt"
	"slices"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
)

// maxLanes is how many idle lanes a session keeps; more than run at once would lie about.
const maxLanes = 16

// lane holds the tensors of one call at a time, so that calls of one shape, which is nearly all
// of them, allocate nothing in the runtime.
type lane struct {
	shape   []int64
	input   *ort.Tensor[float32]
	inputs  []ort.Value
	outputs []ort.Value // nil until the first run, which lets the runtime say their shapes
}

func newLane(shape []int64, outputs int) (*lane, error) {
	input, err := ort.NewEmptyTensor[float32](ort.Shape(shape))
	if err != nil {
		return nil, err
	}
	return &lane{slices.Clone(shape), input, []ort.Value{input}, make([]ort.Value, outputs)}, nil
}

// run copies the values in and the answers out.
func (l *lane) run(
	runtime *ort.DynamicAdvancedSession, names []string, values []float32,
) (map[string]inference.Tensor, error) {
	copy(l.input.GetData(), values)
	if err := runtime.Run(l.inputs, l.outputs); err != nil {
		return nil, err
	}
	answers := make(map[string]inference.Tensor, len(names))
	for i, value := range l.outputs {
		tensor := inference.Tensor{Shape: value.GetShape()}
		switch typed := value.(type) {
		case *ort.Tensor[float32]:
			tensor.Floats = slices.Clone(typed.GetData())
		case *ort.Tensor[int64]:
			tensor.Ints = slices.Clone(typed.GetData())
		default:
			return nil, fmt.Errorf("output %q is %T, neither float32 nor int64", names[i], value)
		}
		answers[names[i]] = tensor
	}
	return answers, nil
}

func (l *lane) destroy() {
	_ = l.input.Destroy()
	for _, output := range l.outputs {
		if output != nil {
			_ = output.Destroy()
		}
	}
}

// borrow takes an idle lane of that shape or makes one.
func (s *session) borrow(shape []int64) (*lane, error) {
	s.idleMu.Lock()
	for i := len(s.idle) - 1; i >= 0; i-- {
		if found := s.idle[i]; slices.Equal(found.shape, shape) {
			s.idle = slices.Delete(s.idle, i, i+1)
			s.idleMu.Unlock()
			return found, nil
		}
	}
	s.idleMu.Unlock()
	return newLane(shape, len(s.outputs))
}

// giveBack keeps a lane for the next call; beyond maxLanes the one idle for longest goes.
func (s *session) giveBack(used *lane) {
	s.idleMu.Lock()
	s.idle = append(s.idle, used)
	var oldest *lane
	if len(s.idle) > maxLanes {
		oldest = s.idle[0]
		s.idle = slices.Delete(s.idle, 0, 1)
	}
	s.idleMu.Unlock()
	if oldest != nil {
		oldest.destroy()
	}
}
