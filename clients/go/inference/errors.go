package inference

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Kind says what went wrong. It is an error itself, so that a caller asks
// errors.Is(err, inference.ErrTimeout).
type Kind string

// Error returns the kind in words.
func (k Kind) Error() string { return string(k) }

// The kinds of failure. No other error leaves this module.
const (
	ErrInput       Kind = "invalid input"      // wrong length, NaN, infinite, outside float32
	ErrHistory     Kind = "not enough history" // fewer steps than the model needs
	ErrModel       Kind = "model missing"      // not registered, or the server has no such model
	ErrDamaged     Kind = "model damaged"      // digest, metadata, graph or golden answers do not agree
	ErrLibrary     Kind = "library missing"    // ONNX Runtime was not found or cannot be loaded
	ErrUnavailable Kind = "server down"        // no connection, or it broke before the answer
	ErrTimeout     Kind = "timeout"            // no answer in time
	ErrCanceled    Kind = "canceled"           // the caller's context was canceled
	ErrRejected    Kind = "request refused"    // 4xx other than 404
	ErrServer      Kind = "server failed"      // 5xx, or the runtime failed
	ErrAnswer      Kind = "malformed answer"   // an answer that does not follow the protocol or the model
	ErrBreaker     Kind = "circuit open"       // not tried, because the calls before failed
	ErrClosed      Kind = "client closed"      // used after Close
	ErrAddress     Kind = "unusable address"   // the server's address cannot be parsed
)

// Kinds lists every kind, for metrics that must exist before the first failure.
func Kinds() []Kind {
	return []Kind{
		ErrInput, ErrHistory, ErrModel, ErrDamaged, ErrLibrary, ErrUnavailable, ErrTimeout,
		ErrCanceled, ErrRejected, ErrServer, ErrAnswer, ErrBreaker, ErrClosed, ErrAddress,
	}
}

// Error is the one error type of this module.
type Error struct {
	Kind   Kind
	Model  string // empty where no model is concerned
	Where  string // server address or file, empty where neither is concerned
	Status int    // HTTP status or gRPC code of the server's answer, 0 without one
	Text   string // what, and what to do
	Err    error  // cause, may be nil
}

// Error returns one sentence: model, place, kind, text, cause.
func (e *Error) Error() string {
	parts := make([]string, 0, 5)
	for _, part := range []string{e.Model, e.Where, string(e.Kind), e.Text} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	return strings.Join(parts, ": ")
}

// Is reports whether target is the error's kind.
func (e *Error) Is(target error) bool {
	kind, ok := target.(Kind)
	return ok && kind == e.Kind
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an error about a model from a sentence.
func Errorf(kind Kind, model, format string, values ...any) *Error {
	return &Error{Kind: kind, Model: model, Text: fmt.Sprintf(format, values...)}
}

// KindOf returns the kind of err, and "" for nil and for errors from elsewhere.
func KindOf(err error) Kind {
	var known *Error
	if errors.As(err, &known) {
		return known.Kind
	}
	return ""
}

// ContextKind says whether a context's error is a timeout or a cancellation.
func ContextKind(err error) Kind {
	if errors.Is(err, context.DeadlineExceeded) {
		return ErrTimeout
	}
	return ErrCanceled
}
