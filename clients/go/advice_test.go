package dwcpml_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	dwcpml "github.com/dwcp/dwcp-ml/clients/go"
	"github.com/dwcp/dwcp-ml/clients/go/internal/testenv"
	"github.com/dwcp/dwcp-ml/clients/go/onnx"
)

func TestBufferIsTheBandwidthDelayProductWithinItsLimits(t *testing.T) {
	limits := dwcpml.DefaultLimits()
	for _, c := range []struct {
		mbps, rtt float64
		bytes     int
	}{
		{100, 50, 625000}, {1000, 100, 12500000}, {1, 1, limits.MinBuffer}, {1e5, 1e4, limits.MaxBuffer}, {0, 0, limits.MinBuffer},
	} {
		if got := dwcpml.BufferSize(dwcpml.Forecast{ThroughputMbps: c.mbps, RTTMs: c.rtt}, limits); got != c.bytes {
			t.Errorf("%v Mbit/s and %v ms: %d bytes, want %d", c.mbps, c.rtt, got, c.bytes)
		}
	}
}

func TestStreamsFollowMathisWithinTheirLimits(t *testing.T) {
	limits := dwcpml.DefaultLimits()
	for _, c := range []struct {
		mbps, rtt, loss float64
		streams         int
	}{
		{60, 100, 0.001, 14}, // one stream reaches 4.52 Mbit/s
		{4, 100, 0.001, 2}, {5000, 200, 0.02, 16}, {1000, 1, 0, 2}, {0, 0, 0, 2},
	} {
		forecast := dwcpml.Forecast{ThroughputMbps: c.mbps, RTTMs: c.rtt, PacketLoss: c.loss}
		if got := dwcpml.StreamCount(forecast, limits); got != c.streams {
			t.Errorf("%+v: %d streams", c, got)
		}
	}
}

func TestALinkAdvisesFromAYoungConfidentForecastAndElseTheDefaults(t *testing.T) {
	limits := dwcpml.DefaultLimits()
	limits.MaxAge = 300 * time.Millisecond
	link := tiny(t, dwcpml.WithLimits(limits)).Link("a/b")
	features := []float64{50, 1, 100, 0.001, 2, 2, 65536}
	defaults := func(when string) {
		t.Helper()
		if link.GetOptimalStreamCount() != limits.DefaultStreams || link.GetOptimalBufferSize() != limits.DefaultBuffer {
			t.Errorf("%s: %d streams, %d bytes", when, link.GetOptimalStreamCount(), link.GetOptimalBufferSize())
		}
	}
	defaults("before the first forecast")
	if _, err := link.Observe(context.Background(), features); err != nil {
		t.Fatal(err)
	}
	defaults("after one step")
	for range 9 {
		if _, err := link.Observe(context.Background(), features); err != nil {
			t.Fatal(err)
		}
	}
	if forecast, ok := link.GetPrediction(); !ok || forecast.ThroughputMbps != 100 ||
		link.GetOptimalBufferSize() != 625000 || link.GetOptimalStreamCount() != 12 {
		t.Errorf("%+v: %d bytes, %d streams", forecast, link.GetOptimalBufferSize(), link.GetOptimalStreamCount())
	}
	time.Sleep(350 * time.Millisecond)
	defaults("when the forecast is old")
}

func TestMetricsTellOutcomesAccuracyVersionAndReloads(t *testing.T) {
	registered := prometheus.NewRegistry()
	metrics, err := dwcpml.NewMetrics(registered)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dwcpml.NewMetrics(registered); err == nil {
		t.Error("two sets of one name were registered")
	}
	root := testenv.Copy(t)
	backend := testenv.Open(t, root, onnx.WithReload(0))
	client := dwcpml.New(backend, dwcpml.WithMetrics(metrics))
	for _, mbps := range []float64{100, 100, 100} {
		if _, err := client.PredictBandwidth(onLink("a"), step(mbps)); err != nil {
			t.Fatal(err)
		}
	}
	moveLatest(t, root, dwcpml.BandwidthModel, "v1.1")
	if err := backend.Reload(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := client.PredictBandwidth(context.Background(), step(100)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.PredictBandwidth(context.Background(), nil); !errors.Is(err, dwcpml.ErrInput) {
		t.Fatal(err)
	}
	text := exposed(t, registered)
	for _, line := range []string{
		`dwcp_pba_predictions_total{model="bandwidth_predictor",outcome="ok"} 5`,
		`dwcp_pba_predictions_total{model="bandwidth_predictor",outcome="invalid_input"} 1`,
		`dwcp_pba_predictions_total{model="consensus_latency",outcome="server_down"} 0`,
		`dwcp_pba_prediction_accuracy{arm="",model="bandwidth_predictor"} 1`,
		`dwcp_pba_model_version{arm="",model="bandwidth_predictor"} 1.001`,
		`dwcp_pba_retrain_total{model="bandwidth_predictor"} 1`,
		`dwcp_pba_confidence{model="bandwidth_predictor"} 0.095`,
		`dwcp_pba_prediction_latency_ms_count{model="bandwidth_predictor"} 5`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
	if problems, err := testutil.GatherAndLint(registered); err != nil || len(problems) > 1 {
		t.Errorf("%v, %v", problems, err) // the one: milliseconds are no base unit, as DWCP's name has it
	}
}

func TestAnswersThatNoModelGivesAreMalformed(t *testing.T) {
	output := func(name, datatype, shape, data string) string {
		return `{"name":"` + name + `","datatype":"` + datatype + `","shape":` + shape + `,"data":` + data + `}`
	}
	next, class := output("next_throughput_mbps", "FP32", "[1]", "[9]"), output("bandwidth_class", "INT64", "[1]", "[0]")
	forecast := output("forecast", "FP32", "[1,4]", "[9,1,0,1]")
	ten := output("probabilities", "FP32", "[1,10]", "[1,0,0,0,0,0,0,0,0,0]")
	for what, outputs := range map[string][]string{
		"no forecast":    {next, class},
		"short forecast": {next, class, output("forecast", "FP32", "[1,3]", "[1,2,3]")},
		"negative":       {output("next_throughput_mbps", "FP32", "[1]", "[-9]"), class, forecast},
		"negative loss":  {next, class, output("forecast", "FP32", "[1,4]", "[9,1,-0.1,1]")},
		"no such class":  {next, output("bandwidth_class", "INT64", "[1]", "[7]"), forecast},
		"level 10":       {output("compression_level", "INT64", "[1]", "[10]"), ten},
		"level -1":       {output("compression_level", "INT64", "[1]", "[-1]"), ten},
		"float level":    {output("compression_level", "FP32", "[1]", "[1]"), ten},
		"two rows":       {output("anomaly_score", "FP32", "[2]", "[0,1]"), output("is_anomaly", "INT64", "[2]", "[0,1]")},
		"score 2":        {output("anomaly_score", "FP32", "[1]", "[2]"), output("is_anomaly", "INT64", "[1]", "[1]")},
		"decision 2":     {output("anomaly_score", "FP32", "[1]", "[0.5]"), output("is_anomaly", "INT64", "[1]", "[2]")},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"outputs":[`+strings.Join(outputs, ",")+`]}`)
		}))
		client, ctx := dwcpml.NewModelInferenceClient(server.URL), context.Background()
		mbps, bandwidth := client.PredictBandwidth(ctx, step(1))
		level, compression := client.SelectCompression(ctx, make([]float64, 6))
		anomalous, score, anomaly := client.DetectAnomaly(ctx, make([]float64, 6))
		high, latency := client.DetectHighLatency(ctx, make([]float64, 20))
		for _, err := range []error{bandwidth, compression, anomaly, latency} {
			if !errors.Is(err, dwcpml.ErrAnswer) {
				t.Errorf("%s: %v", what, err)
			}
		}
		if mbps != 0 || level != 0 || anomalous || score != 0 || high {
			t.Errorf("%s: values beside an error", what)
		}
		server.Close()
	}
}
