"""Verdicts on the ONNX files: figures with intervals, gates, slices and the reports."""
