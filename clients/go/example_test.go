package dwcpml_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	dwcpml "github.com/dwcp/dwcp-ml/clients/go"
)

func ExampleNewModelInferenceClient() {
	// Stands for "dwcp serve"; with the real one the address is "localhost:8501".
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"model_version":"v1.0","outputs":[
			{"name":"next_throughput_mbps","datatype":"FP32","shape":[1],"data":[148.5]},
			{"name":"forecast","datatype":"FP32","shape":[1,4],"data":[148.5,10.6,0.01,2.2]},
			{"name":"bandwidth_class","datatype":"INT64","shape":[1],"data":[1]}]}`)
	}))
	defer server.Close()

	client := dwcpml.NewModelInferenceClient(server.URL)
	features := []float64{10.5, 2.3, 150.0, 0.01, 1, 2, 65536} // one step, see PredictBandwidth
	mbps, err := client.PredictBandwidth(context.Background(), features)
	fmt.Printf("%.1f Mbit/s, %v\n", mbps, err)

	_, err = client.PredictBandwidth(context.Background(), features[:3])
	fmt.Println(errors.Is(err, dwcpml.ErrInput), err)
	// Output:
	// 148.5 Mbit/s, <nil>
	// true bandwidth_predictor: invalid input: 3 features were given, 7 (one step) or 70 (10 steps) are needed
}

func ExampleBufferSize() {
	forecast := dwcpml.Forecast{ThroughputMbps: 100, RTTMs: 50, PacketLoss: 0.001}
	limits := dwcpml.DefaultLimits()
	fmt.Println(dwcpml.BufferSize(forecast, limits), "bytes,", dwcpml.StreamCount(forecast, limits), "streams")
	// Output: 625000 bytes, 12 streams
}
