package rest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
	"github.com/dwcp/dwcp-ml/clients/go/resilience"
	"github.com/dwcp/dwcp-ml/clients/go/rest"
)

var request = inference.Request{Model: "node_reliability", Shape: []int64{1, 2}, Values: []float32{1, 2}}

const (
	goodV2 = `{"model_name":"node_reliability","model_version":"v1.0","outputs":[
		{"name":"anomaly_score","datatype":"FP32","shape":[1],"data":[0.25]},
		{"name":"is_anomaly","datatype":"INT64","shape":[1],"data":[0]}]}`
	goodV1 = `{"predictions":[{"anomaly_score":0.25,"is_anomaly":0}]}`
)

// served answers every request with a status and a body.
func served(t *testing.T, status int, body string) (string, *atomic.Int64) {
	t.Helper()
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL, &calls
}

func TestStatusesBecomeKindsWithTheServersSentenceAndAreNotRetried(t *testing.T) {
	for status, kind := range map[int]inference.Kind{
		400: inference.ErrRejected, 404: inference.ErrModel, 413: inference.ErrRejected,
		429: inference.ErrRejected, 500: inference.ErrServer, 503: inference.ErrServer, 302: inference.ErrAnswer,
	} {
		address, calls := served(t, status, `{"error":"the server's sentence"}`)
		_, err := rest.New(address).Infer(context.Background(), request)
		var told *inference.Error
		if !errors.Is(err, kind) || !errors.As(err, &told) || told.Status != status ||
			!strings.Contains(err.Error(), "the server's sentence") {
			t.Errorf("%d: %v", status, err)
		}
		if calls.Load() != 1 {
			t.Errorf("%d was tried %d times", status, calls.Load())
		}
	}
}

func TestMalformedAnswersAreErrors(t *testing.T) {
	deep := strings.Repeat("[", 20000) + strings.Repeat("]", 20000)
	for name, body := range map[string]string{
		"empty": "", "no JSON": "<html>", "list": "[]", "null": "null", "no outputs": "{}",
		"cut off":        goodV2[:40],
		"two answers":    goodV2 + goodV2,
		"other model":    strings.Replace(goodV2, "node_reliability", "other", 1),
		"NaN":            strings.Replace(goodV2, "0.25", "NaN", 1),
		"null number":    strings.Replace(goodV2, "0.25", "null", 1),
		"string":         strings.Replace(goodV2, "0.25", `"x"`, 1),
		"beyond float32": strings.Replace(goodV2, "0.25", "1e39", 1),
		"half decision":  strings.Replace(goodV2, "[0]", "[0.5]", 1),
		"wrong shape":    strings.Replace(goodV2, "[1]", "[2]", 1),
		"huge shape":     strings.Replace(goodV2, "[1]", "[9223372036854775807,9]", 1),
		"negative shape": strings.Replace(goodV2, "[1]", "[-1]", 1),
		"odd datatype":   strings.Replace(goodV2, "FP32", "BYTES", 1),
		"object data":    strings.Replace(goodV2, "[0.25]", `[{"a":1}]`, 1),
		"deep":           strings.Replace(goodV2, "[0.25]", deep, 1),
		"too long":       goodV2 + strings.Repeat(" ", 9<<20),
	} {
		address, _ := served(t, 200, body)
		if answer, err := rest.New(address).Infer(context.Background(), request); !errors.Is(err, inference.ErrAnswer) {
			t.Errorf("V2 %s: %v, %v", name, answer, err)
		}
	}
	for name, body := range map[string]string{
		"empty": "", "no predictions": "{}", "two rows": `{"predictions":[{},{}]}`,
		"null":    `{"predictions":[{"anomaly_score":null}]}`,
		"number":  `{"predictions":[0.5]}`,
		"error":   `{"error":"x"}`,
		"nothing": `{"predictions":[{"anomaly_score":[]}]}`,
	} {
		address, _ := served(t, 200, body)
		if answer, err := rest.NewV1(address).Infer(context.Background(), request); !errors.Is(err, inference.ErrAnswer) {
			t.Errorf("V1 %s: %v, %v", name, answer, err)
		}
	}
}

func TestGoodAnswersOfBothProtocolsAreRead(t *testing.T) {
	for body, build := range map[string]func(string, ...rest.Option) inference.Backend{
		goodV2: rest.New, goodV1: rest.NewV1,
	} {
		address, _ := served(t, 200, body)
		answer, err := build(address).Infer(context.Background(), request)
		if err != nil || answer.Outputs["anomaly_score"].Floats[0] != 0.25 || answer.Outputs["is_anomaly"].Ints[0] != 0 {
			t.Errorf("%+v, %v", answer, err)
		}
	}
}

func TestAServerThatIsDownIsRetriedThenTold(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var dialed atomic.Int64
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			dialed.Add(1)
			_ = conn.Close() // before any answer
		}
	}()
	defer listener.Close()
	_, err = rest.New(listener.Addr().String()).Infer(context.Background(), request)
	if !errors.Is(err, inference.ErrUnavailable) || dialed.Load() != 3 {
		t.Errorf("%v after %d tries, 3 are wanted", err, dialed.Load())
	}
}

func TestAServerThatComesBackIsReachedByTheRetry(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	policy := resilience.Default()
	policy.Backoff = 300 * time.Millisecond
	go func() {
		time.Sleep(50 * time.Millisecond)
		again, err := net.Listen("tcp", address)
		if err != nil {
			return
		}
		_ = http.Serve(again, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, goodV2)
		}))
	}()
	if _, err := rest.New(address, rest.WithPolicy(policy)).Infer(context.Background(), request); err != nil {
		t.Error(err)
	}
}

func TestASlowServerIsATimeoutAndACanceledCallIsCanceled(t *testing.T) {
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(hang)
	policy := resilience.Default()
	policy.Timeout = 50 * time.Millisecond
	begin := time.Now()
	_, err := rest.New(server.URL, rest.WithPolicy(policy)).Infer(context.Background(), request)
	if !errors.Is(err, inference.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("own limit: %v", err)
	}
	if time.Since(begin) > 500*time.Millisecond {
		t.Errorf("a timeout was retried: %v", time.Since(begin))
	}
	deadline, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := rest.New(server.URL).Infer(deadline, request); !errors.Is(err, inference.ErrTimeout) {
		t.Errorf("caller's limit: %v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, stop)
	if _, err := rest.New(server.URL).Infer(ctx, request); !errors.Is(err, inference.ErrCanceled) {
		t.Errorf("canceled: %v", err)
	}
}

func TestABodyThatBreaksOffIsAConnectionError(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, goodV2[:50])
	}))
	defer server.Close()
	if _, err := rest.New(server.URL).Infer(context.Background(), request); !errors.Is(err, inference.ErrUnavailable) {
		t.Error(err)
	}
}

func TestAnUnusableAddressIsToldByTheCall(t *testing.T) {
	for _, address := range []string{"", "ftp://x", "http://", "a b:1", "localhost:port", "://"} {
		backend := rest.New(address)
		if _, err := backend.Infer(context.Background(), request); !errors.Is(err, inference.ErrAddress) {
			t.Errorf("%q: %v", address, err)
		}
		if err := backend.Close(); err != nil {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestAPrefixOfTheAddressIsKept(t *testing.T) {
	var path string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.Path
		_, _ = io.WriteString(w, goodV2)
	}))
	defer server.Close()
	_, err := rest.New(server.URL+"/dwcp/").Infer(context.Background(), request)
	if err != nil || path != "/dwcp/v2/models/node_reliability/infer" {
		t.Error(path, err)
	}
}
