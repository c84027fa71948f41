package resilience_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
	"github.com/dwcp/dwcp-ml/clients/go/resilience"
	"github.com/dwcp/dwcp-ml/clients/go/rest"
)

const good = `{"outputs":[{"name":"a","datatype":"FP32","shape":[1],"data":[1]}]}`

// switchable is a server whose status a test changes.
func switchable(t *testing.T) (backend inference.Backend, status, calls *atomic.Int64) {
	t.Helper()
	status, calls = &atomic.Int64{}, &atomic.Int64{}
	status.Store(200)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls.Add(1)
		w.WriteHeader(int(status.Load()))
		_, _ = io.WriteString(w, good)
	}))
	t.Cleanup(server.Close)
	policy := resilience.Policy{Timeout: time.Second, TripAfter: 3, OpenFor: 100 * time.Millisecond}
	return rest.New(server.URL, rest.WithPolicy(policy)), status, calls
}

func about(model string) inference.Request {
	return inference.Request{Model: model, Shape: []int64{1, 1}, Values: []float32{1}}
}

func TestTheCircuitOpensAfterFailuresAndClosesWhenTheServerIsBack(t *testing.T) {
	backend, status, calls := switchable(t)
	ctx := context.Background()
	status.Store(500)
	for range 3 {
		if _, err := backend.Infer(ctx, about("m")); !errors.Is(err, inference.ErrServer) {
			t.Fatal(err)
		}
	}
	if _, err := backend.Infer(ctx, about("m")); !errors.Is(err, inference.ErrBreaker) || calls.Load() != 3 {
		t.Errorf("%v after %d calls", err, calls.Load())
	}
	status.Store(200)
	if _, err := backend.Infer(ctx, about("other")); err != nil {
		t.Errorf("another model's circuit is open too: %v", err)
	}
	time.Sleep(150 * time.Millisecond)
	for range 2 {
		if _, err := backend.Infer(ctx, about("m")); err != nil {
			t.Error(err)
		}
	}
}

func TestRefusalsAndCanceledCallsDoNotOpenTheCircuit(t *testing.T) {
	backend, status, _ := switchable(t)
	status.Store(400)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for range 10 {
		if _, err := backend.Infer(context.Background(), about("m")); !errors.Is(err, inference.ErrRejected) {
			t.Fatal(err)
		}
		if _, err := backend.Infer(gone, about("m")); !errors.Is(err, inference.ErrCanceled) {
			t.Fatal(err)
		}
	}
	status.Store(200)
	if _, err := backend.Infer(context.Background(), about("m")); err != nil {
		t.Error(err)
	}
}

func TestACallerWhoLeavesDuringTheWaitForARetryIsNotKept(t *testing.T) {
	policy := resilience.Policy{Retries: 5, Backoff: time.Minute}
	backend := rest.New("127.0.0.1:1", rest.WithPolicy(policy))
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := backend.Infer(ctx, about("m"))
	if !errors.Is(err, inference.ErrTimeout) || !errors.Is(err, inference.ErrUnavailable) {
		t.Errorf("%v does not tell both the timeout and its cause", err)
	}
}

func TestCallersWithShortDeadlinesDoNotOpenTheCircuitForOthers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(20 * time.Millisecond)
		_, _ = io.WriteString(w, good)
	}))
	defer server.Close()
	backend := rest.New(server.URL, rest.WithPolicy(resilience.Policy{Timeout: 5 * time.Second, TripAfter: 3}))
	for range 6 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		_, err := backend.Infer(ctx, about("m"))
		cancel()
		if !errors.Is(err, inference.ErrTimeout) {
			t.Fatal(err)
		}
	}
	if _, err := backend.Infer(context.Background(), about("m")); err != nil {
		t.Error(err)
	}
}
