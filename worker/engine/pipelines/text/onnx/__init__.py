"""Text encoders computed by ONNX Runtime instead of torch, with the optional extra `batchline[onnx]`.

extra     whether the extra is installed, and what a model needs for it
export    a loaded torch model -> an ONNX graph whose rows may be concatenated, as in `packing`
graph     the graph in ONNX Runtime's memory: one forward pass of `encoder`
"""
