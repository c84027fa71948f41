package dwcpml

import "context"

type linkKey struct{}

type clusterKey struct{}

// WithLink names the link that bandwidth features are about, for example "node-a/node-b". The
// client keeps the link's steps, and package abtest its arm.
func WithLink(ctx context.Context, link string) context.Context {
	return context.WithValue(ctx, linkKey{}, link)
}

// WithCluster names the consensus cluster that latencies are about.
func WithCluster(ctx context.Context, cluster string) context.Context {
	return context.WithValue(ctx, clusterKey{}, cluster)
}

func linkOf(ctx context.Context) string {
	link, _ := ctx.Value(linkKey{}).(string)
	return link
}

func clusterOf(ctx context.Context) string {
	cluster, _ := ctx.Value(clusterKey{}).(string)
	return cluster
}
