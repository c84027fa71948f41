package protoserver

import (
	"context"
	"encoding/binary"
	"math"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/dwcp/dwcp-ml/clients/go/inference"
	"github.com/dwcp/dwcp-ml/clients/go/rpc/oip"
)

// ModelInfer answers one call of the protocol.
type ModelInfer func(context.Context, *oip.ModelInferRequest) (*oip.ModelInferResponse, error)

// GRPC serves ModelInfer.
func GRPC(infer ModelInfer) *grpc.Server {
	server := grpc.NewServer()
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "inference.GRPCInferenceService",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "ModelInfer",
			Handler: func(
				_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor,
			) (any, error) {
				request := &oip.ModelInferRequest{}
				if err := decode(request); err != nil {
					return nil, err
				}
				return infer(ctx, request)
			},
		}},
	}, nil)
	return server
}

// Infer answers from a back end, with raw tensors or, if typed, with typed ones.
func Infer(backend inference.Backend, typed bool) ModelInfer {
	return func(ctx context.Context, call *oip.ModelInferRequest) (*oip.ModelInferResponse, error) {
		request, err := readGRPC(call)
		if err != nil {
			return nil, err
		}
		answer, err := backend.Infer(ctx, request)
		switch inference.KindOf(err) {
		case inference.ErrModel:
			return nil, status.Error(codes.NotFound, err.Error())
		case inference.ErrInput:
			return nil, status.Error(codes.InvalidArgument, err.Error())
		}
		if err != nil {
			return nil, status.Error(codes.Internal, err.Error())
		}
		if err := grpc.SetHeader(ctx, metadata.Pairs(
			"x-model-version", answer.Version, "x-model-revision", answer.Revision)); err != nil {
			return nil, err
		}
		return writeGRPC(request, answer, typed), nil
	}
}

func readGRPC(call *oip.ModelInferRequest) (inference.Request, error) {
	inputs, raw := call.GetInputs(), call.GetRawInputContents()
	if len(inputs) != 1 || inputs[0].GetName() != inference.Input || inputs[0].GetDatatype() != "FP32" ||
		inputs[0].GetContents() != nil || len(raw) != 1 || len(raw[0])%4 != 0 || call.GetId() == "" {
		return inference.Request{}, status.Error(codes.InvalidArgument, "an id and one raw FP32 input are needed")
	}
	request := inference.Request{Model: call.GetModelName(), Shape: inputs[0].GetShape()}
	for bytes := raw[0]; len(bytes) > 0; bytes = bytes[4:] {
		request.Values = append(request.Values, math.Float32frombits(binary.LittleEndian.Uint32(bytes)))
	}
	return request, nil
}

func writeGRPC(request inference.Request, answer inference.Answer, typed bool) *oip.ModelInferResponse {
	response := &oip.ModelInferResponse{ModelName: request.Model, ModelVersion: answer.Version}
	for _, name := range names(answer) {
		tensor := answer.Outputs[name]
		output := &oip.InferTensor{Name: name, Datatype: "FP32", Shape: tensor.Shape}
		if tensor.Ints != nil {
			output.Datatype = "INT64"
		}
		response.Outputs = append(response.Outputs, output)
		if typed {
			output.Contents = &oip.InferTensorContents{Fp32Contents: tensor.Floats, Int64Contents: tensor.Ints}
			continue
		}
		var raw []byte
		for _, value := range tensor.Floats {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(value))
		}
		for _, value := range tensor.Ints {
			raw = binary.LittleEndian.AppendUint64(raw, uint64(value))
		}
		response.RawOutputContents = append(response.RawOutputContents, raw)
	}
	return response
}
