package dwcpml_test

import (
	"context"
	"testing"

	dwcpml "github.com/dwcp/dwcp-ml/clients/go"
	"github.com/dwcp/dwcp-ml/clients/go/inference"
	"github.com/dwcp/dwcp-ml/clients/go/internal/testenv"
	"github.com/dwcp/dwcp-ml/clients/go/rest"
	"github.com/dwcp/dwcp-ml/clients/go/rpc"
)

var compatible = []float64{10.5, 2.3, 150.0, 0.01, 1, 2, 65536} // DWCP's own case

// BenchmarkBandwidth times whole calls of PredictBandwidth on the trained model of DWCP_MODELS,
// in this process and over loopback to the project's own server. The bound of "embedded" is
// BenchmarkBareSession of package onnx.
func BenchmarkBandwidth(b *testing.B) {
	embedded := testenv.Open(b, testenv.Models(b))
	server := testenv.Serve(b, testenv.Models(b), 0, 0)
	backends := []struct {
		name    string
		backend inference.Backend
	}{
		{"embedded", embedded},
		{"v2", rest.New(server.HTTP)},
		{"v1", rest.NewV1(server.HTTP)},
		{"grpc", rpc.New(server.GRPC)},
	}
	for _, back := range backends {
		client := dwcpml.New(back.backend)
		b.Run(back.name, func(b *testing.B) {
			testenv.Percentiles(b, func() error {
				_, err := client.PredictBandwidth(context.Background(), compatible)
				return err
			})
		})
	}
}

// BenchmarkConsensus times a call with a cluster's full history, in this process.
func BenchmarkConsensus(b *testing.B) {
	client := dwcpml.New(testenv.Open(b, testenv.Models(b)))
	ctx := dwcpml.WithCluster(context.Background(), "cluster")
	history := make([]float64, 920)
	for i := range history {
		history[i] = 20 + float64(i%7)
	}
	if _, err := client.DetectHighLatency(ctx, history); err != nil {
		b.Fatal(err)
	}
	testenv.Percentiles(b, func() error {
		_, err := client.DetectHighLatency(ctx, []float64{22})
		return err
	})
}
