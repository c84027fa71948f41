package dwcpml

import (
	"context"
	"slices"
	"time"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
)

const (
	judgedSteps  = 20                // newest steps, which the consensus model judges
	historySteps = 900 + judgedSteps // what it was trained with; older steps are not sent
)

// Consensus is a judgement of a cluster's newest 20 steps.
type Consensus struct {
	HighLatency  bool
	Error        float64 // reconstruction error plus level term, 0 and up
	Steps        int     // steps that were sent, 20 to 920
	ModelVersion string
}

// DetectHighLatency tells whether a cluster's consensus latency is high; see [ModelInferenceClient].
//
// Without a cluster in the context, sequence is everything: 20 values or more, of which the
// newest 920 are used. With one (see [WithCluster]) the client keeps the cluster's newest 920
// values: a sequence below 20 values is new, one of 20 or more may overlap what was sent before
// and only what follows the overlap is added.
func (c *Client) DetectHighLatency(ctx context.Context, sequence []float64) (bool, error) {
	judged, err := c.JudgeConsensus(ctx, sequence)
	return judged.HighLatency, err
}

// JudgeConsensus answers with the error behind the decision, from the sequence of
// [Client.DetectHighLatency].
func (c *Client) JudgeConsensus(ctx context.Context, sequence []float64) (Consensus, error) {
	var judged Consensus
	var answer inference.Answer
	var elapsed time.Duration
	values, err := c.latencies(clusterOf(ctx), sequence)
	if err == nil {
		shape := []int64{1, int64(len(values)), 1}
		answer, elapsed, err = c.ask(ctx, ConsensusModel, clusterOf(ctx), shape, values)
	}
	if err == nil {
		judged, err = readConsensus(answer)
		judged.Steps = len(values)
	}
	if c.done(ConsensusModel, answer, elapsed, err) != nil {
		return Consensus{}, err
	}
	return judged, nil
}

// ForgetCluster drops a cluster's history.
func (c *Client) ForgetCluster(cluster string) { c.clusters.forget(cluster) }

// latencies returns the newest values to send, those of the cluster if one is named.
func (c *Client) latencies(cluster string, sequence []float64) ([]float32, error) {
	if len(sequence) == 0 {
		return nil, inference.Errorf(ErrInput, ConsensusModel, "the sequence is empty")
	}
	values, err := checked(ConsensusModel, newest(sequence))
	if err != nil {
		return nil, err
	}
	if cluster != "" {
		c.clusters.with(cluster, func(s *clusterState) { values = s.take(values) })
	}
	if len(values) < judgedSteps {
		return nil, inference.Errorf(ErrHistory, ConsensusModel,
			"%d steps are known, %d are needed", len(values), judgedSteps)
	}
	return values, nil
}

// clusterState is what is remembered of a cluster: up to historySteps latencies, ms, newest last.
type clusterState struct{ latencies []float32 }

// take adds what is new in values and returns a copy of all that is kept.
func (s *clusterState) take(values []float32) []float32 {
	known := 0
	if len(values) >= judgedSteps {
		known = overlap(s.latencies, values)
	}
	s.latencies = slices.Clone(newest(append(s.latencies, values[known:]...)))
	return slices.Clone(s.latencies)
}

// overlap is the largest k for which the last k of before are the first k of values.
func overlap(before, values []float32) int {
	for k := min(len(before), len(values)); k > 0; k-- {
		if slices.Equal(before[len(before)-k:], values[:k]) {
			return k
		}
	}
	return 0
}

func newest[T any](values []T) []T { return values[max(0, len(values)-historySteps):] }

func readConsensus(answer inference.Answer) (Consensus, error) {
	size, err := number(ConsensusModel, answer, "reconstruction_error", 0, 1)
	if err != nil {
		return Consensus{}, err
	}
	high, err := choice(ConsensusModel, answer, "is_high_latency", 1)
	return Consensus{HighLatency: high == 1, Error: size, ModelVersion: answer.Version}, err
}
