"""Tasks on sounds.

decoding         a sound's bytes -> mono samples at the model's rate, within limits
base             AudioPipeline: a sound and its feature extractor
padding          rows of different lengths in one pass, for models that ignore what a mask hides
loaders          what transformers loads for a checkpoint of speech: model, feature extractor, tokenizer
others           one task each
"""
