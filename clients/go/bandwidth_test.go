package dwcpml_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"

	dwcpml "github.com/dwcp/dwcp-ml/clients/go"
	"github.com/dwcp/dwcp-ml/clients/go/internal/protoserver"
	"github.com/dwcp/dwcp-ml/clients/go/internal/testenv"
	"github.com/dwcp/dwcp-ml/clients/go/rest"
	"github.com/dwcp/dwcp-ml/clients/go/rpc"
)

// The tiny bandwidth model answers the mean of the window, so that answers show what was sent.
func tiny(t testing.TB, options ...dwcpml.Option) *dwcpml.Client {
	t.Helper()
	return dwcpml.New(testenv.Open(t, testenv.TinyModels()), options...)
}

func step(mbps float64) []float64 { return []float64{10, 1, mbps, 0.001, 2, 2, 65536} }

func onLink(link string) context.Context { return dwcpml.WithLink(context.Background(), link) }

func TestDWCPsOwnCaseHoldsOnEveryBackEnd(t *testing.T) {
	for what, models := range map[string]func(*testing.T) string{
		"tiny":    func(*testing.T) string { return testenv.TinyModels() },
		"trained": func(t *testing.T) string { return testenv.Models(t) },
	} {
		t.Run(what, func(t *testing.T) {
			embedded := testenv.Open(t, models(t))
			address := testenv.ServeHTTP(t, embedded)
			for _, client := range []dwcpml.ModelInferenceClient{
				dwcpml.New(embedded),
				dwcpml.NewModelInferenceClient(address),
				dwcpml.New(rest.NewV1(address)),
				dwcpml.New(rpc.New(testenv.ServeGRPC(t, protoserver.Infer(embedded, false)))),
			} {
				mbps, err := client.PredictBandwidth(context.Background(), compatible)
				if err != nil || !(mbps >= 0 && mbps <= 1000) {
					t.Errorf("%v, %v", mbps, err)
				}
			}
		})
	}
}

func TestOneStepWithoutALinkStandsForAllTen(t *testing.T) {
	client := tiny(t)
	for _, mbps := range []float64{100, 200} {
		if got, err := client.PredictBandwidth(context.Background(), step(mbps)); err != nil || got != mbps {
			t.Errorf("%v, %v", got, err)
		}
	}
}

func TestStepsOfALinkJoinItsHistoryAndLinksAreApart(t *testing.T) {
	client := tiny(t)
	for i := range 25 {
		mbps := float64(10 * i)
		got, err := client.PredictBandwidth(onLink("a"), step(mbps))
		want := 0.0
		for back := range 10 {
			want += float64(10*max(0, i-back)) / 10 // the first step stands for those before it
		}
		if err != nil || math.Abs(got-want) > 1e-3 {
			t.Fatalf("step %d: %v, %v; want %v", i, got, err, want)
		}
	}
	if got, err := client.PredictBandwidth(onLink("b"), step(7)); err != nil || got != 7 {
		t.Errorf("link b knows of link a: %v, %v", got, err)
	}
	client.ForgetLink("a")
	if got, err := client.PredictBandwidth(onLink("a"), step(7)); err != nil || got != 7 {
		t.Errorf("link a was not forgotten: %v, %v", got, err)
	}
}

func TestAWindowReplacesTheHistory(t *testing.T) {
	client := tiny(t)
	var window []float64
	for i := range 10 {
		window = append(window, step(float64(100+i))...)
	}
	if _, err := client.PredictBandwidth(onLink("a"), step(5000)); err != nil {
		t.Fatal(err)
	}
	if got, err := client.PredictBandwidth(onLink("a"), window); err != nil || got != 104.5 {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := client.PredictBandwidth(onLink("a"), step(110)); err != nil || got != 105.5 {
		t.Errorf("%v, %v", got, err)
	}
}

func TestConfidenceGrowsWithHistoryAndFallsWithErrors(t *testing.T) {
	client := tiny(t)
	before := 0.0
	for i := range 12 {
		forecast, err := client.Forecast(onLink("steady"), step(100))
		if err != nil || forecast.Confidence <= before && i < 10 {
			t.Fatalf("step %d: %+v, %v", i, forecast, err)
		}
		before = forecast.Confidence
	}
	if before < 0.95 || before > 1 {
		t.Errorf("a link forecast without error has the confidence %v", before)
	}
	var wild dwcpml.Forecast
	for i := range 40 {
		var err error
		if wild, err = client.Forecast(onLink("wild"), step([]float64{10, 1000}[i%2])); err != nil {
			t.Fatal(err)
		}
	}
	if wild.Confidence > 0.5 {
		t.Errorf("a link never forecast right has the confidence %v", wild.Confidence)
	}
}

func TestOnlyTheNextStepJudgesAForecast(t *testing.T) {
	client := tiny(t)
	windowFrom := func(first int) []float64 {
		var window []float64
		for i := range 10 {
			window = append(window, step(float64(10*(first+i)))...)
		}
		return window
	}
	confidence := func(first int) float64 {
		t.Helper()
		forecast, err := client.Forecast(onLink("a"), windowFrom(first))
		if err != nil {
			t.Fatal(err)
		}
		return forecast.Confidence
	}
	untried := confidence(1)
	if again, jumped := confidence(1), confidence(50); again != untried || jumped != untried {
		t.Errorf("the same window or one far off judged the forecast: %v, %v, %v", untried, again, jumped)
	}
	if next := confidence(51); next == untried {
		t.Error("the window moved by one step did not judge the forecast")
	}
}

func TestTheLinkUnusedForLongestIsForgottenFirst(t *testing.T) {
	client := tiny(t, dwcpml.WithMaxKeys(2))
	for i, visit := range []struct {
		link       string
		mbps, want float64
	}{
		{"a", 0, 0}, {"b", 0, 0}, {"a", 100, 10}, {"c", 0, 0}, // c takes b's place
		{"a", 100, 20}, {"b", 100, 100},
	} {
		got, err := client.PredictBandwidth(onLink(visit.link), step(visit.mbps))
		if err != nil || got != visit.want {
			t.Errorf("visit %d of %s: %v, %v; want %v", i, visit.link, got, err, visit.want)
		}
	}
}

func TestWrongVectorsAreRefused(t *testing.T) {
	client, ctx := tiny(t), context.Background()
	with := func(n int, value float64) []float64 {
		features := make([]float64, n)
		features[n-1] = value
		return features
	}
	bad := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 1e39}
	for _, n := range []int{0, 1, 6, 8, 69, 71, 140} {
		if _, err := client.PredictBandwidth(ctx, make([]float64, n)); !errors.Is(err, dwcpml.ErrInput) {
			t.Errorf("bandwidth of %d: %v", n, err)
		}
	}
	for _, n := range []int{0, 5, 7} {
		if _, err := client.SelectCompression(ctx, make([]float64, n)); !errors.Is(err, dwcpml.ErrInput) {
			t.Errorf("compression of %d: %v", n, err)
		}
		if _, _, err := client.DetectAnomaly(ctx, make([]float64, n)); !errors.Is(err, dwcpml.ErrInput) {
			t.Errorf("reliability of %d: %v", n, err)
		}
	}
	for _, value := range bad {
		_, bandwidth := client.PredictBandwidth(onLink("a"), with(7, value))
		_, compression := client.SelectCompression(ctx, with(6, value))
		_, _, anomaly := client.DetectAnomaly(ctx, with(6, value))
		_, latency := client.DetectHighLatency(ctx, with(20, value))
		for _, err := range []error{bandwidth, compression, anomaly, latency} {
			if !errors.Is(err, dwcpml.ErrInput) {
				t.Errorf("%v: %v", value, err)
			}
		}
	}
	if got, err := client.PredictBandwidth(onLink("a"), step(9)); err != nil || got != 9 {
		t.Errorf("a refused step joined the history: %v, %v", got, err)
	}
}

func TestAClientIsSafeForConcurrentUse(t *testing.T) {
	client := tiny(t, dwcpml.WithMaxKeys(3))
	var callers sync.WaitGroup
	for i := range 8 {
		callers.Go(func() {
			link := client.Link(fmt.Sprint(i % 5))
			ctx := dwcpml.WithCluster(context.Background(), fmt.Sprint(i%5))
			for range 50 {
				_, bandwidth := link.Observe(ctx, step(100))
				_, latency := client.DetectHighLatency(ctx, latencies(0, 25))
				if err := errors.Join(bandwidth, latency); err != nil {
					t.Error(err)
				}
				_, _ = link.GetOptimalStreamCount(), link.GetOptimalBufferSize()
			}
		})
	}
	callers.Wait()
}

// FuzzBandwidth: any vector gives a finite forecast or a typed error.
func FuzzBandwidth(f *testing.F) {
	client := tiny(f)
	f.Add(7, 10.5, 65536.0)
	f.Add(70, math.MaxFloat64, math.SmallestNonzeroFloat64)
	f.Add(-1, math.NaN(), math.Inf(1))
	f.Fuzz(func(t *testing.T, n int, a, b float64) {
		features := make([]float64, max(0, min(n, 100)))
		for i := range features {
			features[i] = []float64{a, b}[i%2]
		}
		got, err := client.PredictBandwidth(onLink("fuzz"), features)
		if err == nil && (math.IsNaN(got) || math.IsInf(got, 0) || got < 0) {
			t.Errorf("%v forecast %v", features, got)
		}
		var typed *dwcpml.Error
		if err != nil && (!errors.As(err, &typed) || got != 0) {
			t.Errorf("%v: %v, %v", features, got, err)
		}
	})
}
