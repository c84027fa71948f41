package rpc

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc/stats"
)

// seenKey holds, in a call's context, whether the server sent anything back.
type seenKey struct{}

// answered notes headers and trailers that came from the server. gRPC gives the same code,
// UNAVAILABLE, to a broken connection and to a server that says so itself; only the first is
// worth a retry.
type answered struct{}

func (answered) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (answered) HandleRPC(ctx context.Context, event stats.RPCStats) {
	switch event.(type) {
	case *stats.InHeader, *stats.InTrailer:
		if seen, ok := ctx.Value(seenKey{}).(*atomic.Bool); ok {
			seen.Store(true)
		}
	}
}

func (answered) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (answered) HandleConn(context.Context, stats.ConnStats) {}
