package ensemble_test

import (
	"context"
	"errors"
	"math"
	"testing"

	dwcpml "github.com/dwcp/dwcp-ml/clients/go"
	"github.com/dwcp/dwcp-ml/clients/go/ensemble"
	"github.com/dwcp/dwcp-ml/clients/go/inference"
	"github.com/dwcp/dwcp-ml/clients/go/internal/testenv"
	"github.com/dwcp/dwcp-ml/clients/go/onnx"
	"github.com/dwcp/dwcp-ml/clients/go/registry"
	"github.com/dwcp/dwcp-ml/clients/go/rest"
)

// The tiny v1.0 answers the mean throughput, v1.1 that times 1.1; below 50 the class is degraded.
func version(t *testing.T, minor int) inference.Backend {
	t.Helper()
	pinned := onnx.WithVersion(dwcpml.BandwidthModel, registry.Version{Major: 1, Minor: minor})
	return testenv.Open(t, testenv.TinyModels(), pinned)
}

func pair(t *testing.T, a inference.Backend, weightA float64, b inference.Backend, weightB float64) *dwcpml.Client {
	t.Helper()
	backend, err := ensemble.New(
		ensemble.Member{Backend: a, Weight: weightA}, ensemble.Member{Backend: b, Weight: weightB})
	if err != nil {
		t.Fatal(err)
	}
	return dwcpml.New(backend)
}

func step(mbps float64) []float64 { return []float64{10, 1, mbps, 0.001, 2, 2, 65536} }

func TestFloatsAreTheWeightedMeanAndDecisionsTheWeightedVote(t *testing.T) {
	for _, c := range []struct {
		weightOld, weightNew, mbps float64
		class                      dwcpml.Class
	}{
		{1, 3, 107.5, dwcpml.Good}, {3, 1, 102.5, dwcpml.Good},
	} {
		client := pair(t, version(t, 0), c.weightOld, version(t, 1), c.weightNew)
		forecast, err := client.Forecast(context.Background(), step(100))
		if err != nil || math.Abs(forecast.ThroughputMbps-c.mbps) > 1e-4 || forecast.Class != c.class ||
			forecast.ModelVersion != "v1.0+v1.1" {
			t.Errorf("%+v, %v", forecast, err)
		}
	}
	// At 47 v1.0 says degraded, v1.1 (51.7) good: the heavier one decides, the lower code on a tie.
	for weight, want := range map[float64]dwcpml.Class{0.5: dwcpml.Good, 2: dwcpml.Degraded, 1: dwcpml.Good} {
		client := pair(t, version(t, 0), weight, version(t, 1), 1)
		if forecast, err := client.Forecast(context.Background(), step(47)); err != nil || forecast.Class != want {
			t.Errorf("weight %v: %v, %v", weight, forecast.Class, err)
		}
	}
}

func TestAFailedMemberHasNoSayUntilHalfOfTheWeightIsGone(t *testing.T) {
	broken := rest.New("http://")
	for weight, answers := range map[float64]bool{0.5: true, 1: false, 2: false} {
		mbps, err := pair(t, version(t, 0), 1, broken, weight).PredictBandwidth(context.Background(), step(100))
		if answers && (err != nil || mbps != 100) {
			t.Errorf("weight %v: %v, %v", weight, mbps, err)
		}
		if !answers && !errors.Is(err, inference.ErrAddress) {
			t.Errorf("weight %v: %v", weight, err)
		}
	}
}

func TestAnEnsembleWithoutSayIsRefused(t *testing.T) {
	for _, members := range [][]ensemble.Member{
		{}, {{Weight: 0}}, {{Weight: -1}}, {{Weight: math.NaN()}}, {{Weight: math.Inf(1)}},
	} {
		if _, err := ensemble.New(members...); !errors.Is(err, inference.ErrInput) {
			t.Errorf("%v: %v", members, err)
		}
	}
}
