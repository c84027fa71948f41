package dwcpml_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	dwcpml "github.com/dwcp/dwcp-ml/clients/go"
	"github.com/dwcp/dwcp-ml/clients/go/inference"
	"github.com/dwcp/dwcp-ml/clients/go/internal/protoserver"
	"github.com/dwcp/dwcp-ml/clients/go/internal/testenv"
	"github.com/dwcp/dwcp-ml/clients/go/rest"
	"github.com/dwcp/dwcp-ml/clients/go/rpc"
)

type goldenCase struct {
	Shape    []int64              `json:"shape"`
	Features []float64            `json:"features"`
	Outputs  map[string][]float64 `json:"outputs"`
}

type goldenModel struct {
	Version string       `json:"version"`
	Cases   []goldenCase `json:"cases"`
}

func TestEveryBackEndAnswersTinyModelsAsPythonDoes(t *testing.T) {
	provesParity(t, testenv.TinyModels())
}

func TestEveryBackEndAnswersTrainedModelsAsPythonDoes(t *testing.T) {
	provesParity(t, testenv.Models(t))
}

func TestTheRealServerAnswersTinyModelsAsPythonDoes(t *testing.T) {
	provesServerParity(t, testenv.TinyModels())
}

func TestTheRealServerAnswersTrainedModelsAsPythonDoes(t *testing.T) {
	provesServerParity(t, testenv.Models(t))
}

func provesServerParity(t *testing.T, models string) {
	golden := vectors(t, models)
	server := testenv.Serve(t, models, 0, 0)
	for name, backend := range map[string]inference.Backend{
		"v2": rest.New(server.HTTP), "v1": rest.NewV1(server.HTTP), "grpc": rpc.New(server.GRPC),
	} {
		t.Run(name, func(t *testing.T) { answersAll(t, backend, golden) })
	}
}

func provesParity(t *testing.T, models string) {
	golden := vectors(t, models)
	embedded := testenv.Open(t, models)
	address := testenv.ServeHTTP(t, embedded)
	for name, backend := range map[string]inference.Backend{
		"embedded":   embedded,
		"v2":         rest.New(address),
		"v1":         rest.NewV1(address),
		"grpc raw":   rpc.New(testenv.ServeGRPC(t, protoserver.Infer(embedded, false))),
		"grpc typed": rpc.New(testenv.ServeGRPC(t, protoserver.Infer(embedded, true))),
	} {
		t.Run(name, func(t *testing.T) { answersAll(t, backend, golden) })
	}
}

func vectors(t *testing.T, models string) map[string]goldenModel {
	t.Helper()
	file := filepath.Join(t.TempDir(), "vectors.json")
	testenv.Python(t, "make_vectors.py", models, file)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var golden map[string]goldenModel
	if err := json.Unmarshal(content, &golden); err != nil {
		t.Fatal(err)
	}
	for _, model := range []string{
		dwcpml.BandwidthModel, dwcpml.CompressionModel, dwcpml.ReliabilityModel, dwcpml.ConsensusModel,
	} {
		if len(golden[model].Cases) == 0 {
			t.Fatalf("no golden vectors of %s", model)
		}
	}
	return golden
}

// answersAll goes through ModelInferenceClient as DWCP does.
func answersAll(t *testing.T, backend inference.Backend, golden map[string]goldenModel) {
	client, ctx := dwcpml.New(backend), context.Background()
	for i, c := range golden[dwcpml.BandwidthModel].Cases {
		got, err := client.Forecast(ctx, c.Features)
		want := c.Outputs["forecast"]
		four := []float64{got.ThroughputMbps, got.RTTMs, got.PacketLoss, got.JitterMs}
		if err != nil || !alike(four, want) || float64(got.Class) != c.Outputs["bandwidth_class"][0] ||
			got.ModelVersion != golden[dwcpml.BandwidthModel].Version {
			t.Errorf("bandwidth case %d: %+v, %v; want %v", i, got, err, c.Outputs)
		}
		next, err := client.PredictBandwidth(ctx, c.Features)
		if err != nil || !alike([]float64{next}, c.Outputs["next_throughput_mbps"]) {
			t.Errorf("bandwidth case %d: %v, %v; want %v", i, next, err, c.Outputs)
		}
	}
	for i, c := range golden[dwcpml.CompressionModel].Cases {
		got, err := client.Compression(ctx, c.Features)
		if err != nil || float64(got.Level) != c.Outputs["compression_level"][0] ||
			!alike(got.Probabilities[:], c.Outputs["probabilities"]) {
			t.Errorf("compression case %d: %+v, %v; want %v", i, got, err, c.Outputs)
		}
	}
	for i, c := range golden[dwcpml.ReliabilityModel].Cases {
		anomalous, score, err := client.DetectAnomaly(ctx, c.Features)
		if err != nil || anomalous != (c.Outputs["is_anomaly"][0] == 1) ||
			!alike([]float64{score}, c.Outputs["anomaly_score"]) {
			t.Errorf("reliability case %d: %v, %v, %v; want %v", i, anomalous, score, err, c.Outputs)
		}
	}
	for i, c := range golden[dwcpml.ConsensusModel].Cases {
		got, err := client.JudgeConsensus(ctx, c.Features)
		if err != nil || got.HighLatency != (c.Outputs["is_high_latency"][0] == 1) ||
			!alike([]float64{got.Error}, c.Outputs["reconstruction_error"]) {
			t.Errorf("consensus case %d: %+v, %v; want %v", i, got, err, c.Outputs)
		}
	}
}

// alike allows 1e-5 relative, and 1e-7 absolute for probabilities near zero.
func alike(got, want []float64) bool {
	if len(got) != len(want) {
		return false
	}
	for i := range got {
		if !(math.Abs(got[i]-want[i]) <= 1e-5*math.Abs(want[i])+1e-7) {
			return false
		}
	}
	return true
}
