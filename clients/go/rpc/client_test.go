package rpc_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
	"github.com/dwcp/dwcp-ml/clients/go/internal/protoserver"
	"github.com/dwcp/dwcp-ml/clients/go/internal/testenv"
	"github.com/dwcp/dwcp-ml/clients/go/resilience"
	"github.com/dwcp/dwcp-ml/clients/go/rpc"
	"github.com/dwcp/dwcp-ml/clients/go/rpc/oip"
)

var request = inference.Request{Model: "node_reliability", Shape: []int64{1, 2}, Values: []float32{1, 2}}

func good() *oip.ModelInferResponse {
	return &oip.ModelInferResponse{
		ModelName: "node_reliability", ModelVersion: "v1.0",
		Outputs: []*oip.InferTensor{
			{Name: "anomaly_score", Datatype: "FP32", Shape: []int64{1}},
			{Name: "is_anomaly", Datatype: "INT64", Shape: []int64{1}},
		},
		RawOutputContents: [][]byte{{0, 0, 128, 62}, {1, 0, 0, 0, 0, 0, 0, 0}},
	}
}

// answering serves one fixed answer and counts the calls.
func answering(t *testing.T, response *oip.ModelInferResponse, err error) (inference.Backend, *atomic.Int64) {
	t.Helper()
	var calls atomic.Int64
	address := testenv.ServeGRPC(t, func(context.Context, *oip.ModelInferRequest) (*oip.ModelInferResponse, error) {
		calls.Add(1)
		return response, err
	})
	backend := rpc.New(address)
	t.Cleanup(func() { _ = backend.Close() })
	return backend, &calls
}

func TestARawAnswerIsRead(t *testing.T) {
	backend, _ := answering(t, good(), nil)
	answer, err := backend.Infer(context.Background(), request)
	if err != nil || answer.Outputs["anomaly_score"].Floats[0] != 0.25 ||
		answer.Outputs["is_anomaly"].Ints[0] != 1 || answer.Version != "v1.0" {
		t.Errorf("%+v, %v", answer, err)
	}
}

func TestCodesBecomeKindsAndTheServersOwnUnavailableIsNotRetried(t *testing.T) {
	for code, kind := range map[codes.Code]inference.Kind{
		codes.NotFound: inference.ErrModel, codes.InvalidArgument: inference.ErrRejected,
		codes.ResourceExhausted: inference.ErrRejected, codes.Internal: inference.ErrServer,
		codes.Unavailable: inference.ErrServer, codes.Unimplemented: inference.ErrServer,
	} {
		backend, calls := answering(t, nil, status.Error(code, "the server's sentence"))
		_, err := backend.Infer(context.Background(), request)
		var told *inference.Error
		if !errors.Is(err, kind) || !errors.As(err, &told) || told.Status != int(code) || calls.Load() != 1 {
			t.Errorf("%v: %v after %d calls", code, err, calls.Load())
		}
	}
}

func TestMalformedAnswersAreErrors(t *testing.T) {
	for name, spoil := range map[string]func(*oip.ModelInferResponse){
		"no outputs":     func(r *oip.ModelInferResponse) { r.Outputs = nil },
		"other model":    func(r *oip.ModelInferResponse) { r.ModelName = "other" },
		"short bytes":    func(r *oip.ModelInferResponse) { r.RawOutputContents[0] = []byte{1, 2, 3} },
		"missing tensor": func(r *oip.ModelInferResponse) { r.RawOutputContents = r.RawOutputContents[:1] },
		"no contents":    func(r *oip.ModelInferResponse) { r.RawOutputContents = nil },
		"wrong shape":    func(r *oip.ModelInferResponse) { r.Outputs[0].Shape = []int64{2} },
		"negative shape": func(r *oip.ModelInferResponse) { r.Outputs[0].Shape = []int64{-1} },
		"odd datatype":   func(r *oip.ModelInferResponse) { r.Outputs[0].Datatype = "BYTES" },
	} {
		response := good()
		spoil(response)
		backend, _ := answering(t, response, nil)
		if answer, err := backend.Infer(context.Background(), request); !errors.Is(err, inference.ErrAnswer) {
			t.Errorf("%s: %+v, %v", name, answer, err)
		}
	}
}

func TestAServerThatIsDownAndComesBack(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	backend := rpc.New(address)
	defer backend.Close()
	if _, err := backend.Infer(context.Background(), request); !errors.Is(err, inference.ErrUnavailable) {
		t.Errorf("down: %v", err)
	}
	again, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	server := protoserver.GRPC(func(context.Context, *oip.ModelInferRequest) (*oip.ModelInferResponse, error) {
		return good(), nil
	})
	go func() { _ = server.Serve(again) }()
	defer server.Stop()
	deadline := time.Now().Add(10 * time.Second)
	for {
		_, err := backend.Infer(context.Background(), request)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still %v", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func TestASlowServerIsATimeoutAndAClosedClientSaysSo(t *testing.T) {
	address := testenv.ServeGRPC(t, func(ctx context.Context, _ *oip.ModelInferRequest) (*oip.ModelInferResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	policy := resilience.Default()
	policy.Timeout = 50 * time.Millisecond
	backend := rpc.New(address, rpc.WithPolicy(policy))
	if _, err := backend.Infer(context.Background(), request); !errors.Is(err, inference.ErrTimeout) ||
		!errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("slow: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := backend.Infer(ctx, request); !errors.Is(err, inference.ErrCanceled) {
		t.Errorf("canceled: %v", err)
	}
	if err := backend.Close(); err != nil {
		t.Error(err)
	}
	if _, err := backend.Infer(context.Background(), request); !errors.Is(err, inference.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestAnUnusableAddressIsToldByTheCall(t *testing.T) {
	if _, err := rpc.New("dns://\x00").Infer(context.Background(), request); !errors.Is(err, inference.ErrAddress) {
		t.Error(err)
	}
}
