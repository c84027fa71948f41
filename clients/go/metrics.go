package dwcpml

import (
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
	"github.com/dwcp/dwcp-ml/clients/go/registry"
)

const (
	accuracyWeight = 0.05 // of the newest forecast in the accuracy gauge
	maxVersions    = 256  // versions of a model that are told apart; a server could name any
)

// Metrics holds the dwcp_pba_* metrics. Several clients may share one.
type Metrics struct {
	accuracy    *prometheus.GaugeVec
	latency     *prometheus.HistogramVec
	version     *prometheus.GaugeVec
	confidence  *prometheus.GaugeVec
	retrained   *prometheus.CounterVec
	predictions *prometheus.CounterVec
	mu          sync.Mutex
	missed      map[[2]string]float64          // model and arm -> running mean of relative errors
	versions    map[string]map[string]struct{} // model -> versions seen
}

// NewMetrics registers, all with the label model:
//
//	dwcp_pba_prediction_accuracy    arm      1 - mean relative error of judged forecasts, 0 to 1
//	dwcp_pba_prediction_latency_ms           time of answered predictions, ms
//	dwcp_pba_model_version          arm      major + minor / 1000 of the newest answer: v1.2 is 1.002
//	dwcp_pba_confidence                      of the newest prediction, 0 to 1
//	dwcp_pba_retrain_total                   versions seen after the first
//	dwcp_pba_predictions_total      outcome  "ok" or the kind of failure
//
// It fails where metrics of these names are registered already; share one Metrics instead.
func NewMetrics(registerer prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		accuracy: gauge("prediction_accuracy", "1 - mean relative error of judged forecasts.", "model", "arm"),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "dwcp_pba_prediction_latency_ms", Help: "Time of answered predictions in milliseconds.",
			Buckets: []float64{.025, .05, .1, .25, .5, 1, 2, 5, 10, 20, 50, 100, 1000},
		}, []string{"model"}),
		version:     gauge("model_version", "Major + minor / 1000 of the version that answered.", "model", "arm"),
		confidence:  gauge("confidence", "Confidence of the newest prediction.", "model"),
		retrained:   counter("retrain_total", "Model versions seen after the first.", "model"),
		predictions: counter("predictions_total", "Predictions by outcome.", "model", "outcome"),
		missed:      map[[2]string]float64{}, versions: map[string]map[string]struct{}{},
	}
	for _, model := range []string{BandwidthModel, CompressionModel, ReliabilityModel, ConsensusModel} {
		m.retrained.WithLabelValues(model)
		m.predictions.WithLabelValues(model, "ok") // present before the first, so that increases show
		for _, kind := range inference.Kinds() {
			m.predictions.WithLabelValues(model, label(kind))
		}
	}
	all := []prometheus.Collector{m.accuracy, m.latency, m.version, m.confidence, m.retrained, m.predictions}
	for _, collector := range all {
		if err := registerer.Register(collector); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *Metrics) observe(model string, answer inference.Answer, elapsed time.Duration, err error) {
	if err != nil {
		m.predictions.WithLabelValues(model, label(inference.KindOf(err))).Inc()
		return
	}
	m.predictions.WithLabelValues(model, "ok").Inc()
	m.latency.WithLabelValues(model).Observe(float64(elapsed) / float64(time.Millisecond))
	m.saw(model, answer)
}

// saw notes who answered.
func (m *Metrics) saw(model string, answer inference.Answer) {
	version, ok := registry.ParseVersion(answer.Version)
	if !ok {
		return
	}
	m.version.WithLabelValues(model, answer.Arm).Set(float64(version.Major) + float64(version.Minor)/1000)
	m.mu.Lock()
	defer m.mu.Unlock()
	seen := m.versions[model]
	if seen == nil {
		seen = map[string]struct{}{}
		m.versions[model] = seen
	}
	if _, known := seen[answer.Version]; !known && len(seen) < maxVersions {
		if len(seen) > 0 {
			m.retrained.WithLabelValues(model).Inc()
		}
		seen[answer.Version] = struct{}{}
	}
}

func (m *Metrics) confident(model string, confidence float64) {
	m.confidence.WithLabelValues(model).Set(confidence)
}

func (m *Metrics) judged(model string, judged verdict) {
	m.mu.Lock()
	key := [2]string{model, judged.arm}
	mean, known := m.missed[key]
	if known {
		mean += accuracyWeight * (judged.error - mean)
	} else {
		mean = judged.error
	}
	m.missed[key] = mean
	m.mu.Unlock()
	m.accuracy.WithLabelValues(model, judged.arm).Set(1 - mean)
}

func label(kind inference.Kind) string { return strings.ReplaceAll(string(kind), " ", "_") }

func gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "dwcp_pba_" + name, Help: help}, labels)
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dwcp_pba_" + name, Help: help}, labels)
}
