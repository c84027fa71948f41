// Package oip holds the messages of the Open Inference Protocol over gRPC.
//
// Regenerate with grpcio-tools and protoc-gen-go on the path:
//
//go:generate python -m grpc_tools.protoc -I. --go_out=. --go_opt=paths=source_relative oip.proto
package oip
