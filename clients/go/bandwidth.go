package dwcpml

import (
	"context"
	"time"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
)

// Class is how a throughput compares with what the link's type and tier promise.
type Class int

// The classes, with the model's codes.
const (
	Good Class = iota
	Degraded
	Bad
)

// String returns good, degraded or bad.
func (c Class) String() string {
	if c < Good || c > Bad {
		return "unknown"
	}
	return [...]string{"good", "degraded", "bad"}[c]
}

// Forecast is what the bandwidth model expects of the next step.
type Forecast struct {
	ThroughputMbps float64   // Mbit/s
	RTTMs          float64   // round trip, ms
	PacketLoss     float64   // fraction, 0 to 1
	JitterMs       float64   // ms
	Class          Class     // of the throughput
	Confidence     float64   // 0 to 1, see Client.Forecast
	ModelVersion   string    // for example v1.0, empty if the server does not say
	Arm            string    // of an A/B test, else empty
	At             time.Time // when it was made
}

// PredictBandwidth forecasts the next step's throughput, Mbit/s; see [ModelInferenceClient].
//
// With a link in the context (see [WithLink]) one step joins the link's history, also when the
// call fails, so send a step once. A whole window replaces the history. Without a link one step
// stands for all ten.
func (c *Client) PredictBandwidth(ctx context.Context, features []float64) (float64, error) {
	forecast, err := c.Forecast(ctx, features)
	return forecast.ThroughputMbps, err
}

// Forecast answers with all four forecasts from the features of [Client.PredictBandwidth].
//
// Confidence is the share of the window's ten steps that are real, times one minus the link's
// mean relative error so far. The error is an exponentially weighted mean (weight 0.1) over
// forecasts that the following step judged; it begins at 0.05, the gate above which no bandwidth
// model is registered.
func (c *Client) Forecast(ctx context.Context, features []float64) (Forecast, error) {
	var forecast Forecast
	var answer inference.Answer
	var elapsed time.Duration
	link := linkOf(ctx)
	values, err := bandwidthValues(features)
	if err == nil {
		window, confidence := c.remember(link, values)
		answer, elapsed, err = c.ask(ctx, BandwidthModel, link, []int64{1, windowSteps, stepValues}, window)
		if err == nil {
			forecast, err = readForecast(answer)
			forecast.Confidence = confidence
		}
		if err == nil && link != "" {
			c.links.with(link, func(s *linkState) {
				s.pending = &pending{mbps: forecast.ThroughputMbps, arm: answer.Arm}
			})
		}
	}
	if err == nil && c.metrics != nil {
		c.metrics.confident(BandwidthModel, forecast.Confidence)
	}
	if c.done(BandwidthModel, answer, elapsed, err) != nil {
		return Forecast{}, err
	}
	return forecast, nil
}

// ForgetLink drops a link's history, for example when its path has changed.
func (c *Client) ForgetLink(link string) { c.links.forget(link) }

func bandwidthValues(features []float64) ([]float32, error) {
	if n := len(features); n != stepValues && n != windowSteps*stepValues {
		return nil, inference.Errorf(ErrInput, BandwidthModel,
			"%d features were given, %d (one step) or %d (10 steps) are needed", n, stepValues, windowSteps*stepValues)
	}
	return checked(BandwidthModel, features)
}

// remember returns the window to send and the confidence it allows.
func (c *Client) remember(link string, values []float32) (window []float32, confidence float64) {
	if link == "" {
		alone := linkState{rows: values}
		return padded(alone.rows), alone.confidence()
	}
	var judged *verdict
	c.links.with(link, func(s *linkState) {
		judged = s.take(values)
		window, confidence = padded(s.rows), s.confidence()
	})
	if judged == nil {
		return window, confidence
	}
	if judge, ok := c.backend.(inference.Judge); ok {
		judge.Judge(judged.arm, judged.error)
	}
	if c.metrics != nil {
		c.metrics.judged(BandwidthModel, *judged)
	}
	return window, confidence
}

func readForecast(answer inference.Answer) (Forecast, error) {
	var four [4]float64
	for i := range four {
		value, err := number(BandwidthModel, answer, "forecast", i, len(four))
		if err != nil {
			return Forecast{}, err
		}
		if value < 0 {
			return Forecast{}, malformed(BandwidthModel, "output \"forecast\" holds %v, below 0", value)
		}
		four[i] = value
	}
	next, err := number(BandwidthModel, answer, "next_throughput_mbps", 0, 1)
	if err != nil {
		return Forecast{}, err
	}
	if next < 0 {
		return Forecast{}, malformed(BandwidthModel, "output \"next_throughput_mbps\" is %v, below 0", next)
	}
	class, err := choice(BandwidthModel, answer, "bandwidth_class", int64(Bad))
	return Forecast{
		ThroughputMbps: next, RTTMs: four[1], PacketLoss: four[2], JitterMs: four[3],
		Class: Class(class), ModelVersion: answer.Version, Arm: answer.Arm, At: time.Now(),
	}, err
}
