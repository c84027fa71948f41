package onnx

import (
	"sync"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
	"github.com/dwcp/dwcp-ml/clients/go/registry"
)

// session runs one version. Calls share the lock; closing takes it alone, so that the runtime's
// memory is never freed under a call.
type session struct {
	model   *registry.Model
	outputs []string
	mu      sync.RWMutex
	runtime *ort.DynamicAdvancedSession // nil after close
	idleMu  sync.Mutex
	idle    []*lane // used last at the end
}

// newSession builds a session whose inputs and outputs are those of the metadata.
func newSession(model *registry.Model) (*session, error) {
	s := &session{model: model}
	for _, output := range model.Metadata.Outputs {
		s.outputs = append(s.outputs, output.Name)
	}
	if err := sameSignature(model); err != nil {
		return nil, s.damaged(err)
	}
	options, err := singleThreaded()
	if err != nil {
		return nil, s.damaged(err)
	}
	defer func() { _ = options.Destroy() }()
	s.runtime, err = ort.NewDynamicAdvancedSessionWithONNXData(
		model.Graph, []string{inference.Input}, s.outputs, options)
	if err != nil {
		return nil, s.damaged(err)
	}
	if err := s.proveGolden(); err != nil {
		s.close()
		return nil, s.damaged(err)
	}
	return s, nil
}

// singleThreaded: one row of these models is too small to share, and spinning would burn cores.
func singleThreaded() (*ort.SessionOptions, error) {
	options, err := ort.NewSessionOptions()
	if err != nil {
		return nil, err
	}
	for _, set := range []func() error{
		func() error { return options.SetIntraOpNumThreads(1) },
		func() error { return options.SetInterOpNumThreads(1) },
		func() error { return options.AddSessionConfigEntry("session.intra_op.allow_spinning", "0") },
	} {
		if err := set(); err != nil {
			_ = options.Destroy()
			return nil, err
		}
	}
	return options, nil
}

// run answers a checked request; false means that the session was closed before.
func (s *session) run(shape []int64, values []float32) (map[string]inference.Tensor, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.runtime == nil {
		return nil, false, nil
	}
	lane, err := s.borrow(shape)
	if err != nil {
		return nil, true, err
	}
	answers, err := lane.run(s.runtime, s.outputs, values)
	if err != nil {
		lane.destroy()
		return nil, true, err
	}
	s.giveBack(lane)
	return answers, true, nil
}

// close waits for running calls, then frees the session.
func (s *session) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.runtime == nil {
		return
	}
	for _, lane := range s.idle {
		lane.destroy()
	}
	_ = s.runtime.Destroy()
	s.runtime, s.idle = nil, nil
}

func (s *session) damaged(err error) error {
	return &inference.Error{
		Kind: inference.ErrDamaged, Model: s.model.Name, Where: s.model.Version.String(), Err: err,
	}
}
