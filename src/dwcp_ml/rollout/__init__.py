"""Canaries on KServe that promote and roll back by themselves, for any InferenceService.

``decide`` is the whole state machine, pure. Adapters read and patch the cluster, ``analysis`` turns
measurements into verdicts, and the operator (or ``dwcp rollout run``) loops over them. Nothing in
this package knows DWCP's models.
"""
