// Package dwcpml asks DWCP's four models: bandwidth, compression, node reliability and consensus
// latency.
//
// [ModelInferenceClient] is the interface DWCP calls. [NewModelInferenceClient] answers it over
// HTTP; [New] takes any back end:
//
//	dwcpml.NewModelInferenceClient("localhost:8501")  // V2 over HTTP
//	dwcpml.New(rest.NewV1("localhost:8501"))          // as TensorFlow Serving speaks
//	dwcpml.New(rpc.New("localhost:8500"))             // V2 over gRPC
//	dwcpml.New(backend)                               // backend, err := onnx.Open("models"): in this process
//
// A bandwidth forecast needs ten steps of a link and a consensus decision the history of a
// cluster. [WithLink] and [WithCluster] put their names into the context; the client then keeps
// the history and a call passes the newest step only. One step is one row of telemetry, by
// default 60 s.
//
// Units: ms for times, Mbit/s for rates, byte for sizes, fractions 0 to 1 for losses. Every error
// is an [Error] with one of the kinds ErrInput to ErrAddress; errors.Is tells which.
package dwcpml
