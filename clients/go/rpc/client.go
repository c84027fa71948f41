// Package rpc speaks the Open Inference Protocol (V2) over gRPC.
package rpc

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
	"github.com/dwcp/dwcp-ml/clients/go/resilience"
	"github.com/dwcp/dwcp-ml/clients/go/rpc/oip"
)

// Method is the protocol's call.
const Method = "/inference.GRPCInferenceService/ModelInfer"

const maxAnswer = 8 << 20 // bytes

type client struct {
	address  string
	fault    error // of the address, told by every call
	conn     *grpc.ClientConn
	dial     []grpc.DialOption
	policy   resilience.Policy
	requests atomic.Uint64
}

// Option changes how a client calls.
type Option func(*client)

// WithPolicy replaces resilience.Default.
func WithPolicy(policy resilience.Policy) Option { return func(c *client) { c.policy = policy } }

// WithDial adds dial options, for example transport credentials; without any the line is not encrypted.
func WithDial(options ...grpc.DialOption) Option {
	return func(c *client) { c.dial = append(c.dial, options...) }
}

// New returns a back end that calls a gRPC server like "localhost:8081". It connects with the
// first call. An unusable address is told by every call, as ErrAddress.
func New(address string, options ...Option) inference.Backend {
	c := &client{address: address, policy: resilience.Default()}
	for _, option := range options {
		option(c)
	}
	dial := append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStatsHandler(answered{}),
		grpc.WithDisableRetry(), // the policy decides
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second,
			},
			MinConnectTimeout: time.Second,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
	}, c.dial...)
	conn, err := grpc.NewClient(address, dial...)
	if err != nil {
		c.fault = &inference.Error{Kind: inference.ErrAddress, Where: address, Err: err}
	}
	c.conn = conn
	return resilience.Wrap(c, c.policy)
}

// Infer calls ModelInfer.
func (c *client) Infer(ctx context.Context, request inference.Request) (inference.Answer, error) {
	if c.fault != nil {
		return inference.Answer{}, c.fault
	}
	if err := request.Check(); err != nil {
		return inference.Answer{}, err
	}
	var header metadata.MD
	var seen atomic.Bool
	response := &oip.ModelInferResponse{}
	call := context.WithValue(ctx, seenKey{}, &seen)
	id := strconv.FormatUint(c.requests.Add(1), 10)
	if err := c.conn.Invoke(call, Method, encode(request, id), response, grpc.Header(&header)); err != nil {
		return inference.Answer{}, c.failed(ctx, request, err, seen.Load())
	}
	answer, err := read(request, response)
	if err != nil {
		return answer, &inference.Error{
			Kind: inference.ErrAnswer, Model: request.Model, Where: c.address, Err: err,
		}
	}
	if version := first(header, "x-model-version"); version != "" {
		answer.Version = version
	}
	answer.Revision = first(header, "x-model-revision")
	return answer, nil
}

// Close closes the connection.
func (c *client) Close() error {
	if c.conn == nil {
		return nil
	}
	return c.conn.Close()
}

// failed sorts a status. UNAVAILABLE is a connection error only if the server sent nothing.
func (c *client) failed(ctx context.Context, request inference.Request, err error, answered bool) error {
	told := status.Convert(err)
	failure := &inference.Error{
		Model: request.Model, Where: c.address, Status: int(told.Code()),
		Text: told.Code().String(), Err: errors.New(told.Message()),
	}
	switch told.Code() {
	case codes.DeadlineExceeded:
		failure.Kind, failure.Err = inference.ErrTimeout, context.DeadlineExceeded
	case codes.Canceled:
		failure.Kind = inference.ErrCanceled
		if ctx.Err() == nil { // our own connection was closed
			failure.Kind = inference.ErrClosed
		} else {
			failure.Err = ctx.Err()
		}
	case codes.NotFound:
		failure.Kind = inference.ErrModel
	case codes.InvalidArgument, codes.FailedPrecondition, codes.OutOfRange, codes.ResourceExhausted,
		codes.PermissionDenied, codes.Unauthenticated, codes.AlreadyExists, codes.Aborted:
		failure.Kind = inference.ErrRejected
	case codes.Unavailable:
		failure.Kind = inference.ErrServer
		if !answered {
			failure.Kind, failure.Status = inference.ErrUnavailable, 0
		}
	default:
		failure.Kind = inference.ErrServer
	}
	return failure
}

func first(header metadata.MD, key string) string {
	if values := header.Get(key); len(values) > 0 {
		return values[0]
	}
	return ""
}
