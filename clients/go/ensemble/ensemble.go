// Package ensemble lets several back ends answer together.
package ensemble

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
)

// Member is a back end with its say, above 0.
type Member struct {
	Backend inference.Backend
	Weight  float64
}

type ensemble struct{ members []Member }

type reply struct {
	weight float64
	answer inference.Answer
	err    error
}

// New returns a back end that asks all members at once. Floats are their weighted mean; whole
// numbers, which are decisions, their weighted vote, the lower one on a tie. Members that fail
// have no say as long as more than half of the weight answers; then the call fails.
func New(members ...Member) (inference.Backend, error) {
	if len(members) == 0 {
		return nil, inference.Errorf(inference.ErrInput, "", "an ensemble needs a member")
	}
	for _, member := range members {
		if !(member.Weight > 0) || member.Weight > 1e9 {
			return nil, inference.Errorf(inference.ErrInput, "", "weight %v is not above 0", member.Weight)
		}
	}
	return &ensemble{slices.Clone(members)}, nil
}

// Infer asks every member and joins the answers.
func (e *ensemble) Infer(ctx context.Context, request inference.Request) (inference.Answer, error) {
	replies := make([]reply, len(e.members))
	var asked sync.WaitGroup
	for i, member := range e.members {
		asked.Go(func() {
			answer, err := member.Backend.Infer(ctx, request)
			replies[i] = reply{member.Weight, answer, err}
		})
	}
	asked.Wait()
	var answered, all float64
	var good []reply
	var faults []error
	for _, reply := range replies {
		all += reply.weight
		if reply.err != nil {
			faults = append(faults, reply.err)
			continue
		}
		answered += reply.weight
		good = append(good, reply)
	}
	if answered*2 <= all {
		return inference.Answer{}, &inference.Error{
			Kind: inference.KindOf(faults[0]), Model: request.Model,
			Text: "half of the ensemble or more did not answer", Err: errors.Join(faults...),
		}
	}
	return joined(request.Model, good, answered)
}

// Close closes all members.
func (e *ensemble) Close() error {
	var faults []error
	for _, member := range e.members {
		faults = append(faults, member.Backend.Close())
	}
	return errors.Join(faults...)
}

func joined(model string, replies []reply, weight float64) (inference.Answer, error) {
	first := replies[0].answer
	answer := inference.Answer{Outputs: make(map[string]inference.Tensor, len(first.Outputs))}
	var versions []string
	for _, reply := range replies {
		versions = append(versions, reply.answer.Version)
	}
	answer.Version = strings.Join(versions, "+")
	for name, tensor := range first.Outputs {
		for _, reply := range replies {
			other := reply.answer.Outputs[name]
			if len(other.Floats) != len(tensor.Floats) || len(other.Ints) != len(tensor.Ints) {
				return answer, inference.Errorf(inference.ErrAnswer, model,
					"the members' outputs %q differ in size", name)
			}
		}
		answer.Outputs[name] = inference.Tensor{
			Shape: tensor.Shape, Floats: means(replies, name, weight), Ints: votes(replies, name),
		}
	}
	return answer, nil
}

func means(replies []reply, name string, weight float64) []float32 {
	mean := make([]float32, len(replies[0].answer.Outputs[name].Floats))
	for i := range mean {
		var sum float64
		for _, reply := range replies {
			sum += reply.weight * float64(reply.answer.Outputs[name].Floats[i])
		}
		mean[i] = float32(sum / weight)
	}
	return mean
}

func votes(replies []reply, name string) []int64 {
	chosen := make([]int64, len(replies[0].answer.Outputs[name].Ints))
	for i := range chosen {
		say := map[int64]float64{}
		for _, reply := range replies {
			say[reply.answer.Outputs[name].Ints[i]] += reply.weight
		}
		best := replies[0].answer.Outputs[name].Ints[i]
		for value, weight := range say {
			if weight > say[best] || (weight == say[best] && value < best) {
				best = value
			}
		}
		chosen[i] = best
	}
	return chosen
}
