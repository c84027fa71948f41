package dwcpml_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	dwcpml "github.com/dwcp/dwcp-ml/clients/go"
	"github.com/dwcp/dwcp-ml/clients/go/inference"
	"github.com/dwcp/dwcp-ml/clients/go/internal/testenv"
	"github.com/dwcp/dwcp-ml/clients/go/rest"
	"github.com/dwcp/dwcp-ml/clients/go/rpc"
)

func transports(server *testenv.Server) map[string]inference.Backend {
	return map[string]inference.Backend{
		"v2": rest.New(server.HTTP), "v1": rest.NewV1(server.HTTP), "grpc": rpc.New(server.GRPC),
	}
}

func TestTheRealServersRefusalsBecomeKinds(t *testing.T) {
	server := testenv.Serve(t, testenv.TinyModels(), 0, 0)
	for name, backend := range transports(server) {
		for kind, request := range map[inference.Kind]inference.Request{
			dwcpml.ErrModel:    {Model: "other", Shape: []int64{1, 6}, Values: make([]float32, 6)},
			dwcpml.ErrRejected: {Model: dwcpml.ReliabilityModel, Shape: []int64{1, 5}, Values: make([]float32, 5)},
		} {
			_, err := backend.Infer(context.Background(), request)
			var told *dwcpml.Error
			if !errors.Is(err, kind) || !errors.As(err, &told) || told.Status == 0 {
				t.Errorf("%s, %s: %v", name, kind, err)
			}
			t.Log(err)
		}
	}
}

func TestAHotReloadOfTheRealServerFailsNoCall(t *testing.T) {
	root := testenv.Copy(t)
	server := testenv.Serve(t, root, 0, 0)
	for name, backend := range transports(server) {
		client := dwcpml.New(backend)
		seen := map[string]int{}
		for i := range 4 {
			moveLatest(t, root, dwcpml.BandwidthModel, []string{"v1.1", "v1.0"}[i%2])
			for until := time.Now().Add(300 * time.Millisecond); time.Now().Before(until); {
				forecast, err := client.Forecast(context.Background(), step(100))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				seen[forecast.ModelVersion]++
			}
		}
		if seen["v1.0"] == 0 || seen["v1.1"] == 0 || len(seen) != 2 {
			t.Errorf("%s: versions that answered: %v", name, seen)
		}
	}
}

// TestARestartOfTheServer: calls in flight are answered, calls without a server fail with the
// kind that says so, and the same client works again afterwards.
func TestARestartOfTheServer(t *testing.T) {
	server := testenv.Serve(t, testenv.TinyModels(), 0, 0)
	clients := map[string]*dwcpml.Client{}
	for name, backend := range transports(server) {
		clients[name] = dwcpml.New(backend)
	}
	var stop atomic.Bool
	var callers sync.WaitGroup
	for name, client := range clients {
		callers.Go(func() {
			for !stop.Load() {
				_, err := client.PredictBandwidth(context.Background(), step(100))
				if err != nil && !saysNoServer(err) {
					t.Errorf("%s: %v", name, err)
				}
			}
		})
	}
	time.Sleep(200 * time.Millisecond)
	server.Stop()
	stop.Store(true)
	callers.Wait()
	for name, client := range clients {
		_, err := client.PredictBandwidth(context.Background(), step(100))
		if !saysNoServer(err) {
			t.Errorf("%s without a server: %v", name, err)
		}
	}
	testenv.Serve(t, testenv.TinyModels(), port(t, server.HTTP), port(t, server.GRPC))
	for name, client := range clients {
		deadline := time.Now().Add(15 * time.Second) // an open circuit closes after 5 s
		for {
			_, err := client.PredictBandwidth(context.Background(), step(100))
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s after the restart: %v", name, err)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// saysNoServer: there is none, or it said that it is going away.
func saysNoServer(err error) bool {
	var told *dwcpml.Error
	leaving := errors.Is(err, dwcpml.ErrServer) && errors.As(err, &told) &&
		(told.Status == http.StatusServiceUnavailable || told.Status == int(codes.Unavailable))
	return leaving || errors.Is(err, dwcpml.ErrUnavailable) || errors.Is(err, dwcpml.ErrBreaker)
}

func port(t *testing.T, address string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return number
}
