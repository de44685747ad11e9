"""Tasks whose models read rows of tokens.

base            shared by all: checks, the three steps, the check that batches are harmless
encoder         all tasks except generation: rows of tokens -> forward passes -> rows of numbers
padding         rows of different lengths -> one rectangle
packing         rows of different lengths, concatenated, through a model without padding
onnx/           encoders computed by ONNX Runtime instead of torch
continuous/     text generation whose rows join and leave at any step
held_out.txt    our own texts, by which `worker/engine/` judges a faster dtype or backend
others          one task each, or a few similar tasks
"""
