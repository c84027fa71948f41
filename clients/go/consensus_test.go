package dwcpml_test

import (
	"context"
	"errors"
	"testing"

	dwcpml "github.com/dwcp/dwcp-ml/clients/go"
)

func onCluster(cluster string) context.Context {
	return dwcpml.WithCluster(context.Background(), cluster)
}

func latencies(from, count int) []float64 {
	values := make([]float64, count)
	for i := range values {
		values[i] = 20 + float64((from+i)*7919%97)/10 // no two windows alike
	}
	return values
}

func TestASequenceWithoutAClusterIsEverythingThereIs(t *testing.T) {
	client, ctx := tiny(t), context.Background()
	if _, err := client.DetectHighLatency(ctx, latencies(0, 19)); !errors.Is(err, dwcpml.ErrHistory) {
		t.Errorf("19 values: %v", err)
	}
	if _, err := client.DetectHighLatency(ctx, nil); !errors.Is(err, dwcpml.ErrInput) {
		t.Errorf("none: %v", err)
	}
	for given, used := range map[int]int{20: 20, 500: 500, 920: 920, 5000: 920} {
		if got, err := client.JudgeConsensus(ctx, latencies(0, given)); err != nil || got.Steps != used {
			t.Errorf("%d values: %+v, %v", given, got, err)
		}
	}
}

func TestAClustersHistoryIsTheBaseline(t *testing.T) {
	client := tiny(t)
	for i := range 300 {
		high, err := client.DetectHighLatency(onCluster("c"), []float64{20})
		if i < 19 && !errors.Is(err, dwcpml.ErrHistory) || i >= 19 && (err != nil || high) {
			t.Fatalf("step %d: %v, %v", i, high, err)
		}
	}
	alone := make([]float64, 20)
	for i := range alone {
		alone[i] = 60
	}
	if high, err := client.DetectHighLatency(onCluster("c"), alone); err != nil || !high {
		t.Errorf("three times the usual latency is not high: %v, %v", high, err)
	}
	if high, err := client.DetectHighLatency(onCluster("other"), alone); err != nil || high {
		t.Errorf("another cluster's usual latency is high: %v, %v", high, err)
	}
	client.ForgetCluster("c")
	if high, err := client.DetectHighLatency(onCluster("c"), alone); err != nil || high {
		t.Errorf("the history was not forgotten: %v, %v", high, err)
	}
}

// Whatever windows a caller sends, overlapping or not, the history is the series.
func TestOverlappingWindowsAddEachStepOnce(t *testing.T) {
	for _, width := range []int{20, 33, 100} {
		for _, stride := range []int{1, 5, 20} {
			client := tiny(t)
			for end := width; end <= 1200; end += stride {
				got, err := client.JudgeConsensus(onCluster("c"), latencies(end-width, width))
				if err != nil || got.Steps != min(end, 920) {
					t.Fatalf("width %d, stride %d, end %d: %+v, %v", width, stride, end, got, err)
				}
			}
		}
	}
}
