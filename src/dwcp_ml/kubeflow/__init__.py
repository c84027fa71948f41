"""The stages on Kubeflow Pipelines: what components call, compiling, running, submitting."""
