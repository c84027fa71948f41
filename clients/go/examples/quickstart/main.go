// Quickstart asks the four models as DWCP does, over any of the back ends:
//
//	go run ./examples/quickstart                          # V2 over HTTP at localhost:8501
//	go run ./examples/quickstart -back-end v1             # as TensorFlow Serving speaks
//	go run ./examples/quickstart -back-end grpc -address localhost:8500
//	go run ./examples/quickstart -back-end onnx -models ../../models
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"

	dwcpml "github.com/dwcp/dwcp-ml/clients/go"
	"github.com/dwcp/dwcp-ml/clients/go/inference"
	"github.com/dwcp/dwcp-ml/clients/go/onnx"
	"github.com/dwcp/dwcp-ml/clients/go/rest"
	"github.com/dwcp/dwcp-ml/clients/go/rpc"
)

func main() {
	kind := flag.String("back-end", "v2", "v2, v1, grpc or onnx")
	address := flag.String("address", "localhost:8501", "of the server")
	models := flag.String("models", "models", "registry folder, for onnx")
	flag.Parse()
	log.SetFlags(0)
	backend, err := open(*kind, *address, *models)
	if err == nil {
		err = ask(context.Background(), dwcpml.New(backend))
	}
	if errors.Is(err, dwcpml.ErrUnavailable) {
		log.Print("Start the server with 'make serve', or use -back-end onnx -models FOLDER.")
	}
	if err != nil {
		log.Print(err)
		os.Exit(1)
	}
}

func open(kind, address, models string) (inference.Backend, error) {
	switch kind {
	case "v2":
		return rest.New(address), nil
	case "v1":
		return rest.NewV1(address), nil
	case "grpc":
		return rpc.New(address), nil
	case "onnx":
		return onnx.Open(models)
	}
	return nil, fmt.Errorf("no back end %q: v2, v1, grpc or onnx", kind)
}

func ask(ctx context.Context, client *dwcpml.Client) error {
	defer func() { _ = client.Close() }()
	// rtt_ms, jitter_ms, throughput_mbps, packet_loss, link_type, network_tier, congestion_window
	mbps, err := client.PredictBandwidth(ctx, []float64{10.5, 2.3, 150.0, 0.01, 1, 2, 65536})
	if err != nil {
		return err
	}
	fmt.Printf("one step alone:   %.1f Mbit/s next\n", mbps)

	link := client.Link("eu-1/us-3") // its steps join into a window
	var forecast dwcpml.Forecast
	for _, measured := range []float64{151, 149, 152, 148, 146, 143, 141, 137, 134, 130} {
		if forecast, err = link.Observe(ctx, []float64{38, 1.2, measured, 0.001, 2, 2, 262144}); err != nil {
			return err
		}
	}
	fmt.Printf("ten steps:        %.1f Mbit/s (%s), rtt %.1f ms, loss %.4f, confidence %.2f, model %s\n",
		forecast.ThroughputMbps, forecast.Class, forecast.RTTMs, forecast.PacketLoss, forecast.Confidence,
		forecast.ModelVersion)
	fmt.Printf("advice:           %d streams, %d bytes of buffer\n",
		link.GetOptimalStreamCount(), link.GetOptimalBufferSize())

	// throughput_mbps, rtt_ms, link_type, hde_compression_ratio, hde_delta_hit_rate, amst_transfer_rate
	level, err := client.SelectCompression(ctx, []float64{forecast.ThroughputMbps, 38, 2, 2.8, 0.6, 215})
	if err != nil {
		return err
	}
	fmt.Printf("compression:      level %d\n", level)

	// uptime_pct, failure_rate, packet_loss, retransmits, error_budget_burn_rate, rtt_ms
	anomalous, score, err := client.DetectAnomaly(ctx, []float64{99.6, 1.2, 0.0015, 12, 1.1, 38})
	if err != nil {
		return err
	}
	fmt.Printf("node:             anomaly %t, score %.4f\n", anomalous, score)

	latencies := make([]float64, 60) // ms, newest last
	for i := range latencies {
		latencies[i] = 14 + float64(i%5)/2
	}
	high, err := client.DetectHighLatency(dwcpml.WithCluster(ctx, "eu-1"), latencies)
	if err != nil {
		return err
	}
	fmt.Printf("consensus:        high latency %t\n", high)
	return nil
}
