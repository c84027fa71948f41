package abtest_test

import (
	"context"
	"fmt"
	"math"
	"testing"

	dwcpml "github.com/dwcp/dwcp-ml/clients/go"
	"github.com/dwcp/dwcp-ml/clients/go/abtest"
	"github.com/dwcp/dwcp-ml/clients/go/internal/testenv"
	"github.com/dwcp/dwcp-ml/clients/go/onnx"
	"github.com/dwcp/dwcp-ml/clients/go/registry"
	"github.com/dwcp/dwcp-ml/clients/go/rest"
)

func TestTheShareIsKeptTheHashIsStableAndRaisingItOnlyMovesLinksToB(t *testing.T) {
	small, large := abtest.New(nil, nil, 0.1), abtest.New(nil, nil, 0.3)
	inB := 0
	for i := range 20000 {
		link := fmt.Sprintf("node-%d/node-%d", i%200, i/200)
		if small.Arm(link) == abtest.B {
			inB++
			if large.Arm(link) != abtest.B {
				t.Errorf("%s left arm b when the share rose", link)
			}
		}
	}
	// Five standard deviations of a binomial of 20000 at 0.1.
	if math.Abs(float64(inB)-2000) > 5*math.Sqrt(20000*0.1*0.9) {
		t.Errorf("%d of 20000 links are on arm b at a share of 0.1", inB)
	}
	// Computed apart from this code, in Python: the hash must not change between releases.
	want, got := "babbbbbaaabaabaaaaabaabbbbbbababaaabbbbbbabbaaababbbbaaabbaaabbb", ""
	for i := range 64 {
		got += abtest.New(nil, nil, 0.5).Arm(fmt.Sprintf("node-%d/node-%d", i, i+1))
	}
	if got != want {
		t.Errorf("64 links went to\n%s, not to\n%s", got, want)
	}
	if abtest.New(nil, nil, 1).Arm("") != abtest.A {
		t.Error("a request without a link went to b")
	}
	if abtest.New(nil, nil, 0).Arm("x") != abtest.A || abtest.New(nil, nil, 1).Arm("x") != abtest.B {
		t.Error("a share of 0 or 1 splits")
	}
}

func TestAccuracyAndLatencyAreKeptPerArm(t *testing.T) {
	backend := func(minor int) *onnx.Backend {
		pinned := onnx.WithVersion(dwcpml.BandwidthModel, registry.Version{Major: 1, Minor: minor})
		return testenv.Open(t, testenv.TinyModels(), pinned)
	}
	test := abtest.New(backend(0), backend(1), 0.5)
	client := dwcpml.New(test)
	// A constant link: v1.0 is exact, v1.1 is 10 % too high.
	step := []float64{10, 1, 100, 0.001, 2, 2, 65536}
	calls := map[string]uint64{}
	for i := range 40 {
		link := fmt.Sprintf("link-%d", i)
		for range 5 {
			forecast, err := client.Forecast(dwcpml.WithLink(context.Background(), link), step)
			want := map[string]string{abtest.A: "v1.0", abtest.B: "v1.1"}[test.Arm(link)]
			if err != nil || forecast.Arm != test.Arm(link) || forecast.ModelVersion != want {
				t.Fatalf("%+v, %v", forecast, err)
			}
			calls[forecast.Arm]++
		}
	}
	for arm, want := range map[string]float64{abtest.A: 0, abtest.B: 0.1} {
		got := test.Report(arm)
		if got.Answered != calls[arm] || got.Failed != 0 || got.Judged != calls[arm]/5*4 ||
			math.Abs(got.MeanError-want) > 1e-5 || got.P50 <= 0 || got.P99 < got.P50 {
			t.Errorf("arm %s: %+v", arm, got)
		}
	}
}

func TestFailuresAreKeptPerArm(t *testing.T) {
	working := testenv.Open(t, testenv.TinyModels())
	test := abtest.New(working, rest.New("http://"), 1)
	ctx := dwcpml.WithLink(context.Background(), "x")
	if _, err := dwcpml.New(test).PredictBandwidth(ctx, make([]float64, 7)); err == nil {
		t.Error("no error")
	}
	if a, b := test.Report(abtest.A), test.Report(abtest.B); a.Failed != 0 || b.Failed != 1 || !math.IsNaN(b.MeanError) {
		t.Errorf("%+v, %+v", a, b)
	}
}
