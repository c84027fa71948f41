package dwcpml

import (
	"context"
	"time"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
)

const rowValues = 6 // features of compression and of reliability

// Compression is a chosen level and the probabilities behind it.
type Compression struct {
	Level         int         // zlib level, 0 is none
	Probabilities [10]float64 // of the levels 0 to 9
	Confidence    float64     // probability of the chosen level, 0 to 1
	ModelVersion  string
}

// SelectCompression chooses the compression level, 0 to 9; see [ModelInferenceClient].
func (c *Client) SelectCompression(ctx context.Context, features []float64) (int, error) {
	chosen, err := c.Compression(ctx, features)
	return chosen.Level, err
}

// Compression answers with the probabilities too, from the features of [Client.SelectCompression].
func (c *Client) Compression(ctx context.Context, features []float64) (Compression, error) {
	var chosen Compression
	answer, elapsed, err := c.row(ctx, CompressionModel, features)
	if err == nil {
		chosen, err = readCompression(answer)
	}
	if err == nil && c.metrics != nil {
		c.metrics.confident(CompressionModel, chosen.Confidence)
	}
	if c.done(CompressionModel, answer, elapsed, err) != nil {
		return Compression{}, err
	}
	return chosen, nil
}

// DetectAnomaly judges a node; the score runs from 0 to 1. See [ModelInferenceClient].
func (c *Client) DetectAnomaly(ctx context.Context, features []float64) (bool, float64, error) {
	var score float64
	var anomalous int
	answer, elapsed, err := c.row(ctx, ReliabilityModel, features)
	if err == nil {
		score, err = number(ReliabilityModel, answer, "anomaly_score", 0, 1)
	}
	if err == nil && (score < 0 || score > 1) {
		err = malformed(ReliabilityModel, "output \"anomaly_score\" is %v, outside 0 to 1", score)
	}
	if err == nil {
		anomalous, err = choice(ReliabilityModel, answer, "is_anomaly", 1)
	}
	if c.done(ReliabilityModel, answer, elapsed, err) != nil {
		return false, 0, err
	}
	return anomalous == 1, score, nil
}

// row asks a model that reads six values of one step.
func (c *Client) row(
	ctx context.Context, model string, features []float64,
) (inference.Answer, time.Duration, error) {
	if len(features) != rowValues {
		return inference.Answer{}, 0, inference.Errorf(ErrInput, model,
			"%d features were given, %d are needed", len(features), rowValues)
	}
	values, err := checked(model, features)
	if err != nil {
		return inference.Answer{}, 0, err
	}
	return c.ask(ctx, model, linkOf(ctx), []int64{1, rowValues}, values)
}

func readCompression(answer inference.Answer) (Compression, error) {
	chosen := Compression{ModelVersion: answer.Version}
	for i := range chosen.Probabilities {
		value, err := number(CompressionModel, answer, "probabilities", i, len(chosen.Probabilities))
		if err != nil {
			return chosen, err
		}
		chosen.Probabilities[i] = value
	}
	level, err := choice(CompressionModel, answer, "compression_level", 9)
	chosen.Level, chosen.Confidence = level, chosen.Probabilities[level]
	return chosen, err
}
