"""DWCP telemetry to four ONNX models."""
