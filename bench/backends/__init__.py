"""torch and ONNX Runtime compared: `python -m bench.backends`.

passes    one process: forward passes of one model, or one load of it
"""
