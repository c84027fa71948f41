"""The model server: KServe's V1 and V2 protocols over REST and gRPC, one process, one core.

What KServe's SDK defines stays: its protocol buffers, routes, headers and bodies. Its REST layer
is replaced by a bare ASGI application, because it costs five times the model's own time.
"""
