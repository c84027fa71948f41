package dwcpml

import (
	"context"
	"time"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
	"github.com/dwcp/dwcp-ml/clients/go/rest"
)

// Names of the models in the registry and on the server.
const (
	BandwidthModel   = "bandwidth_predictor"
	CompressionModel = "compression_selector"
	ReliabilityModel = "node_reliability"
	ConsensusModel   = "consensus_latency"
)

// ModelInferenceClient is what DWCP calls. Implementations are safe for concurrent use.
type ModelInferenceClient interface {
	// PredictBandwidth forecasts the next step's throughput, Mbit/s. features is one step, 7
	// values, or a window of 10 steps, 70 values, oldest step first: rtt_ms, jitter_ms,
	// throughput_mbps, packet_loss (fraction), link_type (dc 0, metro 1, wan 2, edge 3),
	// network_tier (1-3), congestion_window (byte).
	PredictBandwidth(ctx context.Context, features []float64) (float64, error)
	// SelectCompression chooses the compression level, 0 (none) to 9, from 6 values:
	// throughput_mbps, rtt_ms, link_type, hde_compression_ratio, hde_delta_hit_rate (fraction),
	// amst_transfer_rate (Mbit/s).
	SelectCompression(ctx context.Context, features []float64) (int, error)
	// DetectAnomaly judges a node from 6 values: uptime_pct (0-100), failure_rate (1/h),
	// packet_loss (fraction), retransmits (1/s), error_budget_burn_rate (ratio), rtt_ms. The
	// score runs from 0, normal, to 1, incident.
	DetectAnomaly(ctx context.Context, features []float64) (bool, float64, error)
	// DetectHighLatency judges the newest 20 values of consensus latency, ms, against those
	// before them; newest last.
	DetectHighLatency(ctx context.Context, sequence []float64) (bool, error)
}

// Client implements ModelInferenceClient over a back end.
type Client struct {
	backend  inference.Backend
	links    *lru[linkState]
	clusters *lru[clusterState]
	metrics  *Metrics
	limits   Limits
}

// Option changes a client.
type Option func(*Client)

// WithMetrics counts and times predictions; see [NewMetrics].
func WithMetrics(metrics *Metrics) Option { return func(c *Client) { c.metrics = metrics } }

// WithLimits replaces [DefaultLimits] for stream counts and buffer sizes.
func WithLimits(limits Limits) Option { return func(c *Client) { c.limits = limits } }

// WithMaxKeys bounds how many links and how many clusters are remembered, 10000 each without it.
// Beyond it the one unused for longest is forgotten. A cluster takes 4 kB, a link 1 kB.
func WithMaxKeys(count int) Option {
	return func(c *Client) { c.links.limit, c.clusters.limit = max(count, 1), max(count, 1) }
}

// New returns a client over a back end of packages rest, rpc, onnx, ensemble or abtest.
func New(backend inference.Backend, options ...Option) *Client {
	c := &Client{
		backend: backend, limits: DefaultLimits(),
		links: newLRU[linkState](10000), clusters: newLRU[clusterState](10000),
	}
	for _, option := range options {
		option(c)
	}
	return c
}

// NewModelInferenceClient returns a client of the server at an address like "localhost:8501",
// over V2 HTTP under [resilience.Default]. An unusable address is told by every call.
func NewModelInferenceClient(address string, options ...Option) *Client {
	return New(rest.New(address), options...)
}

// Close closes the back end.
func (c *Client) Close() error { return c.backend.Close() }

// ask sends one row and times it.
func (c *Client) ask(
	ctx context.Context, model, key string, shape []int64, values []float32,
) (inference.Answer, time.Duration, error) {
	begin := time.Now()
	answer, err := c.backend.Infer(ctx, inference.Request{Model: model, Key: key, Shape: shape, Values: values})
	elapsed := time.Since(begin)
	return answer, elapsed, err
}

// done counts a prediction by its outcome and passes the error on.
func (c *Client) done(model string, answer inference.Answer, elapsed time.Duration, err error) error {
	if c.metrics != nil {
		c.metrics.observe(model, answer, elapsed, err)
	}
	return err
}

var _ ModelInferenceClient = (*Client)(nil)
