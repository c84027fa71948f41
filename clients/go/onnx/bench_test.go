package onnx_test

import (
	"context"
	"testing"

	"github.com/dwcp/dwcp-ml/clients/go/internal/testenv"
	"github.com/dwcp/dwcp-ml/clients/go/onnx"
)

// BenchmarkInfer times one row of the trained bandwidth model of DWCP_MODELS; its bound is
// BenchmarkBareSession, the runtime alone.
func BenchmarkInfer(b *testing.B) {
	backend := testenv.Open(b, testenv.Models(b))
	request := window()
	testenv.Percentiles(b, func() error {
		_, err := backend.Infer(context.Background(), request)
		return err
	})
}

func BenchmarkBareSession(b *testing.B) {
	run, err := onnx.BareRun(testenv.Open(b, testenv.Models(b)), window())
	if err != nil {
		b.Fatal(err)
	}
	testenv.Percentiles(b, run)
}
