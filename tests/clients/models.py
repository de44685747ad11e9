"""The models of the server that the clients call: tiny checkpoints with random weights."""

from pathlib import Path

from tests.worker.engine.pipelines import tiny

TEMPLATE = (
    "{% for message in messages %}{{ message.role }} : {{ message.content }} . {% endfor %}"
    "{% if add_generation_prompt %}anna : {% endif %}"
)
"""A chat template of words that the tiny tokenizer has."""

MODELS = {
    "org/embedder": (
        "feature-extraction",
        'task = "feature-extraction"\ndefaults = { pooling = "mean", normalize = true }\n'
        "dimensions = [8, 16]\nmax_inputs = 2_048\n",
    ),
    "moods": ("text-classification", 'task = "text-classification"\nflagged_labels = ["LABEL_2"]\n'),
    "org/ranker": ("text-ranking-raw", 'task = "text-ranking"\n'),
    "writer": ("text-generation-at-length", 'task = "text-generation"\n'),
}
"""Name -> builder of its checkpoint, and lines of `models.toml`."""


def write(folder: Path) -> Path:
    """Builds the checkpoints, one for each model, and writes the `models.toml`, whose path it returns."""
    lines = []
    for name, (builder, entry) in MODELS.items():
        where = source(folder, name)
        tiny.BUILDERS[builder](where)
        if builder.startswith("text-generation"):
            (where / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
        lines.append(f'[models."{name}"]\nsource = "{where}"\ndevice = "cpu"\ntoken_budget = 4_096\n{entry}')
    (file := folder / "models.toml").write_text("\n".join(lines), encoding="utf-8")
    return file


def source(folder: Path, name: str) -> Path:
    """The folder of a model's checkpoint."""
    return folder / name.replace("/", "-")
