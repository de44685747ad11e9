"""Translation, also by models of many languages."""

from typing import Any

from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from worker.engine.pipelines.checkpoint import Checkpoint
from worker.engine.pipelines.text.text_to_text import TextToText

SHOWN = 8
"""Languages in an error message."""


class Translation(TextToText):
    """Returns the translation of each text.

    `src_lang` and `tgt_lang` choose languages of a tokenizer with codes for them (NLLB, M2M100, mBART), or
    the prefix that the model's files have for the pair (T5). Models of one pair ignore them.
    """

    output = "translation_text"

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        tokenizer = checkpoint.processor
        self._codes = _codes(tokenizer) if hasattr(tokenizer, "_build_translation_inputs") else []
        # encoding changes them
        self._source = getattr(tokenizer, "src_lang", None)
        self._target = getattr(tokenizer, "tgt_lang", None)
        super().__init__(spec, checkpoint)
        self._samples = {"tgt_lang": self._codes[0]} if self._codes and not self._has_target() else {}
        if self._codes and self._source is None:
            self._samples["src_lang"] = self._codes[0]
        given = {name: value for name, value in spec.defaults.items() if name in ("src_lang", "tgt_lang")}
        self._samples |= given
        self.compared_with = {**self.compared_with, **self._samples}  # type: ignore[misc]

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """See LoadedPipeline."""
        samples, parameters = super().warm_up() or ([], {})
        return samples, {**parameters, **self._samples}

    def _encode(
        self, texts: list[str], parameters: dict[str, Any], options: dict[str, Any]
    ) -> list[list[int]]:
        if not self._codes:
            return super()._encode(texts, parameters, options)
        source = self._code(parameters, "src_lang", self._source)
        if "tgt_lang" not in parameters and self._has_target(generated=True):
            self.tokenizer.src_lang = source
            return self._tokens(texts)
        target = self._code(parameters, "tgt_lang", self._target)
        encoded = self.tokenizer._build_translation_inputs(
            texts,
            return_tensors=None,
            truncation=self.info.max_length is not None,
            src_lang=source,
            tgt_lang=target,
        )
        options["forced_bos_token_id"] = encoded["forced_bos_token_id"]
        rows: list[list[int]] = encoded["input_ids"]
        return rows

    def _code(self, parameters: dict[str, Any], name: str, default: str | None) -> str:
        code = parameters.get(name, default)
        if code is None:
            problem = f"give {name}, the language {'of' if name == 'src_lang' else 'for'} the texts"
        elif not {code, f"__{code}__"}.isdisjoint(self._codes):
            return str(code)
        else:
            problem = f"the model has no language {code!r}"
        raise InvalidRequest(f"{problem}; known: {_listed(self._codes)}", pointer=f"/parameters/{name}")

    def _has_target(self, *, generated: bool = False) -> bool:
        """Whether the model's files choose the language; if `generated`, then by its first token."""
        forced = self.model.generation_config.forced_bos_token_id is not None
        return forced or (self._target is not None and not generated)

    def _specific(self, parameters: dict[str, Any]) -> dict[str, Any]:
        every = getattr(self.model.config, "task_specific_params", None) or {}
        pairs = {name: each for name, each in every.items() if name.startswith("translation")}
        if not pairs or self._codes:
            return {}
        if "src_lang" not in parameters and "tgt_lang" not in parameters:
            return dict(next(iter(pairs.values()))) if len(pairs) == 1 else {}
        wanted = f"translation_{parameters.get('src_lang')}_to_{parameters.get('tgt_lang')}"
        if wanted not in pairs:
            raise InvalidRequest(
                f"the model has no pair of languages {wanted!r}; known: {_listed(list(pairs))}",
                pointer=f"/parameters/{'tgt_lang' if 'tgt_lang' in parameters else 'src_lang'}",
            )
        return dict(pairs[wanted])


def _codes(tokenizer: Any) -> list[str]:
    """The tokens that name languages: special tokens without a role."""
    roles = {str(token) for token in tokenizer.special_tokens_map.values() if isinstance(token, str)}
    return [token for token in map(str, tokenizer.all_special_tokens) if token not in roles]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(name.strip("_") for name in names[:SHOWN]) + more
