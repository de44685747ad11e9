"""Text generation with continuous batching, and one batch after the other for models that cannot."""

import copy
import logging
import re
from collections.abc import Sequence
from typing import Any

import torch

from jobs.models import ModelSpec
from worker.engine.pipelines.checkpoint import Checkpoint
from worker.engine.pipelines.continuous import Progress
from worker.engine.pipelines.text.base import SAMPLES
from worker.engine.pipelines.text.continuous import room
from worker.engine.pipelines.text.continuous.choice import Choice, choose
from worker.engine.pipelines.text.continuous.decoder import SlotDecoder
from worker.engine.pipelines.text.continuous.row import GenerationRow
from worker.engine.pipelines.text.continuous.support import STEPS, Unsupported, check_settings, find_style
from worker.engine.pipelines.text.continuous.text_stream import TextStream
from worker.engine.pipelines.text.endings import ends_of
from worker.engine.pipelines.text.generation import TextGeneration, of_transformers
from worker.engine.shortage import is_shortage

logger = logging.getLogger(__name__)

MAX_SLOTS = 64
"""Most rows of a step. On a CPU more rows hardly raise the rate, and every row waits longer for its token."""

MAX_CONFIGS = 256
"""Most different settings that are kept; to make one from the parameters takes as long as a step."""

_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
"""A token for a single byte, in tokenizers that decode a run of such tokens as a whole."""


class ContinuousTextGeneration(TextGeneration):
    """A ContinuousPipeline. `prepare`, `compute` and `answer` remain, for comparisons and other models."""

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        super().__init__(spec, checkpoint)
        self.slots = 0
        self._shares = spec.prefix_cache
        self._rows: list[GenerationRow] = []
        """The rows that have joined, by slot."""
        self._reserved: list[GenerationRow] = []
        """Rows that fit and have not joined yet."""
        self._long: list[GenerationRow] = []
        """Rows whose prompts are computed in pieces, a step of the others after each; they have no slot."""
        self._short_of_memory = False
        """Whether these wait until a row has left."""
        self._first: dict[GenerationRow, Progress] = {}
        """The first tokens of rows that joined since the last step."""
        self._stepped = True
        """Whether the last call of `step` computed."""
        self._configs: dict[Any, Any] = {}
        self._ends = ends_of(self.model)
        self._held = frozenset(
            at for token, at in self.tokenizer.get_vocab().items() if _BYTE.fullmatch(token)
        )
        try:
            self._decoder = self._tried()
        except Unsupported as error:
            logger.info("model %s: texts are generated in fixed batches, because %s", spec.name, error)
        else:
            self.slots = min(MAX_SLOTS, spec.max_batch_items)
            self._whole = not all(map(self._decodes_in_parts, SAMPLES))

    def row(self, one: Any, parameters: dict[str, Any]) -> GenerationRow:
        """See ContinuousPipeline."""
        self._check(one)
        with self._tokenizing:
            prompt, limit = self._fit(self._tokens([one])[0], parameters)
        stream = TextStream(self._decoding(parameters), parameters.get("stop", ()), self._held, self._whole)
        return GenerationRow(one, prompt, limit, parameters, self._choice(prompt, limit, parameters), stream)

    def fits(self, row: GenerationRow) -> bool:
        """See ContinuousPipeline. Room for the row is reserved until the next `join` or `step`."""
        row.joining_tokens = self._decoder.prompts.next(row.computed)
        if row in self._reserved:
            return True
        waiting = [*self._long, *self._reserved, row]
        if len(self._rows) + len(waiting) > self.slots or not self._decoder.fits(
            [one.end for one in waiting]
        ):
            return False
        self._reserved.append(row)
        return True

    def join(self, rows: Sequence[GenerationRow]) -> None:
        """See ContinuousPipeline. If it raises, no row has joined."""
        self._reserved = []
        long = [row for row in rows if self._decoder.prompts.is_long(row.computed)]
        self._join([row for row in rows if row not in long])
        self._long += long

    def _join(self, rows: Sequence[GenerationRow]) -> None:
        """Computes what is left of the rows' prompts, and chooses their first tokens."""
        if not rows:
            return
        with torch.inference_mode():
            logits = self._decoder.join([row.computed for row in rows])
            for row in rows:
                row.slot = len(self._rows)
                self._rows.append(row)
            chosen = choose(logits, [row.choice for row in rows])
            self._first |= zip(rows, self._advance(rows, chosen), strict=True)

    def _compute_long(self) -> list[Progress]:
        """Computes a piece of the first long prompt, or what is left of some. Returns the rows that failed.

        Rows that have their slots get a step after each piece.
        """
        if not self._long or self._short_of_memory or (self._rows and not self._stepped):
            return []
        ready: list[GenerationRow] = []
        room = self._decoder.prompts.piece
        for row in self._long:
            room -= self._decoder.prompts.rest(row.computed)
            if room < 0:
                break
            ready.append(row)
        return self._computed(ready or self._long[:1], bool(ready))

    def _computed(self, rows: Sequence[GenerationRow], ready: bool) -> list[Progress]:
        """Lets rows join if they are `ready`, or computes a piece of one. Returns those that failed."""
        try:
            if ready:
                self._join(rows)
                self._long = [row for row in self._long if row not in rows]
            else:
                with torch.inference_mode():
                    self._decoder.prompts.advance(rows[0].computed)
        except Exception as error:
            if any(row.slot >= 0 for row in rows):
                raise
            if len(rows) > 1:
                return [one for row in rows for one in self._computed([row], ready)]
            if self._rows and is_shortage(error):
                self._short_of_memory = True
                return []
            self._long.remove(rows[0])
            return [Progress(rows[0], error=error)]
        return []

    def step(self) -> list[Progress]:
        """See ContinuousPipeline.

        The first tokens of rows that have just joined are returned at once. The step after them computes,
        even if other rows join before it. Of long prompts a piece is computed before each step.
        """
        self._reserved = []
        failed = self._compute_long()
        progress: list[Progress] = []
        rows = list(self._rows)
        delayed = [row for row in rows if row not in self._first]
        self._stepped = bool(rows) and not (self._first and (self._stepped or not delayed))
        if self._stepped:
            with torch.inference_mode():
                logits = self._decoder.step([row.tokens[-1] for row in rows])
                firsts = dict(self._first)  # of which rows that end lose theirs
                progress = self._advance(rows, choose(logits, [row.choice for row in rows]))
            for one in progress:
                if first := firsts.get(one.row):
                    one.text = first.text + one.text
                    self._first.pop(one.row, None)
        firsts, self._first = self._first, {}
        return [*failed, *firsts.values(), *progress]

    def leave(self, row: GenerationRow) -> None:
        """See ContinuousPipeline."""
        self._short_of_memory = False
        self._reserved = [one for one in self._reserved if one is not row]
        self._long = [one for one in self._long if one is not row]
        self._first.pop(row, None)
        if row.slot < 0:
            return
        with torch.inference_mode():
            self._decoder.leave(row.slot)
        last = self._rows.pop()
        if last is not row:
            self._rows[row.slot], last.slot = last, row.slot
        row.slot = -1

    def output(self, row: GenerationRow) -> Any:
        """See ContinuousPipeline."""
        with self._tokenizing:
            return self._record(row.text, row.prompt, row.tokens, row.parameters)

    def _advance(self, rows: Sequence[GenerationRow], chosen: Sequence[int | Exception]) -> list[Progress]:
        """Appends a token to each row; rows that end leave."""
        with self._tokenizing:
            found = [self._appended(row, token) for row, token in zip(rows, chosen, strict=True)]
        for progress in found:
            if progress.done or progress.error:
                self.leave(progress.row)
        return found

    def _appended(self, row: GenerationRow, token: int | Exception) -> Progress:
        """Appends a token to a row. A text that cannot be decoded is an error of its row alone."""
        progress = Progress(row)
        try:
            if isinstance(token, Exception):
                raise token
            row.choice.append(token)
            progress.text = row.stream.append(token)
            if token in self._ends or len(row.tokens) >= row.limit or row.stream.stopped:
                progress.text += row.stream.finish()
                progress.done = True
        except Exception as error:
            progress.error = error
        progress.tokens = len(row.tokens)
        return progress

    def _choice(self, prompt: list[int], limit: int, parameters: dict[str, Any]) -> Choice:
        asked = {
            name: value
            for name, value in of_transformers(parameters).items()
            if name not in ("max_new_tokens", "return_full_text")
        }
        key = tuple(sorted(asked.items()))
        if key not in self._configs:
            if len(self._configs) >= MAX_CONFIGS:
                self._configs.clear()
            self._configs[key] = self._config(asked)
        config = copy.copy(self._configs[key])
        config.max_new_tokens = limit
        config.max_length = len(prompt) + limit
        if config.min_new_tokens is not None:
            config.min_length = len(prompt) + config.min_new_tokens
        processors = self.model._get_logits_processor(
            config, input_ids_seq_length=len(prompt), device=self.device
        )
        sampled, seed = bool(config.do_sample), parameters.get("seed")
        return Choice(processors, prompt, len(prompt) + limit, key, sampled, seed, self.device)

    def _config(self, parameters: dict[str, Any]) -> Any:
        """Returns the generation config of a request, as `generate` would make it."""
        _, forward, _ = self.pipeline._sanitize_parameters(**parameters)
        ours = {"max_new_tokens": 1, "pad_token_id": self._padding_token()}
        asked = {**self.pipeline._forward_params, **forward, **ours}
        asked.pop("prefix_length", None)
        config, _ = self.model._prepare_generation_config(
            None, **self.pipeline._prepare_generate_kwargs(asked)
        )
        self.model._prepare_special_tokens(config, True, device=self.device)
        return config

    def _decoding(self, parameters: dict[str, Any]) -> Any:
        """Returns a function from tokens to their text, as in an answer."""
        options = self._postprocess_parameters(of_transformers(parameters))
        clean = options.get("clean_up_tokenization_spaces")
        skip = options.get("skip_special_tokens")
        skip = (True if skip is None else skip) and not getattr(self.tokenizer, "response_template", None)
        return lambda tokens: self.tokenizer.decode(
            tokens, skip_special_tokens=skip, clean_up_tokenization_spaces=clean
        )

    def _decodes_in_parts(self, text: str) -> bool:
        """Whether the tokenizer's text of tokens begins with that of the first ones."""
        stream = TextStream(self._decoding({}), held=self._held)
        tokens: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        parts = [*map(stream.append, tokens), stream.finish()]
        return "".join(parts) == stream.decode(tokens)

    @torch.inference_mode()
    def _tried(self) -> SlotDecoder:
        """Returns a decoder for the model. Raises Unsupported."""
        prefix = self.pipeline._forward_params.get("prefix_length", 0)
        try:
            for sampled in (False, True):
                check_settings(self._config({"do_sample": sampled}), prefix)
            prompts = [self._fit(ids, {"max_new_tokens": STEPS})[0] for ids in self._tokens(list(SAMPLES))]
            pads = self.layout == "padded"
            style, size = find_style(self.model, prompts, self._alone, self._agree, pads)
        except Unsupported:
            raise
        except Exception as error:  # of a setting, or of a model that expects other arguments
            raise Unsupported(f"a trial failed: {error}") from error
        return SlotDecoder(self.model, style, room.positions(self.device, size), shares=self._shares)

    def _alone(self, prompt: Sequence[int]) -> tuple[list[int], list[torch.Tensor]]:
        """Returns the tokens that `generate` appends to a prompt, and their logits."""
        ids = torch.tensor([prompt], device=self.device)
        output = self.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            pad_token_id=self._padding_token(),
            return_dict_in_generate=True,
            output_logits=True,
            do_sample=False,
            min_new_tokens=STEPS,
            max_new_tokens=STEPS,
        )
        return output.sequences[0, len(prompt) :].tolist(), [one[0] for one in output.logits]
