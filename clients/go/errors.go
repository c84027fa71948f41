package dwcpml

import "github.com/dwcp/dwcp-ml/clients/go/inference"

// Error is the one error type of this module; see [inference.Error].
type Error = inference.Error

// The kinds of failure, for errors.Is.
const (
	ErrInput       = inference.ErrInput       // wrong length, NaN, infinite, outside float32
	ErrHistory     = inference.ErrHistory     // fewer steps than the model needs
	ErrModel       = inference.ErrModel       // model missing
	ErrDamaged     = inference.ErrDamaged     // model does not pass its checks
	ErrLibrary     = inference.ErrLibrary     // ONNX Runtime missing
	ErrUnavailable = inference.ErrUnavailable // server down
	ErrTimeout     = inference.ErrTimeout     // no answer in time
	ErrCanceled    = inference.ErrCanceled    // by the caller
	ErrRejected    = inference.ErrRejected    // 4xx
	ErrServer      = inference.ErrServer      // 5xx
	ErrAnswer      = inference.ErrAnswer      // malformed answer
	ErrBreaker     = inference.ErrBreaker     // not tried after repeated failures
	ErrClosed      = inference.ErrClosed      // used after Close
	ErrAddress     = inference.ErrAddress     // address cannot be parsed
)
