"""Image-text-to-text: captions of images, continuations of prompts with images, and chats."""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import jinja2
import PIL.Image
import torch
import transformers
from transformers.utils import chat_template_utils

from jobs.errors import ConfigurationError, InvalidRequest
from jobs.media import encoded
from jobs.models import ModelSpec
from jobs.tasks.examples import LANDSCAPE
from worker.engine.pipelines.checkpoint import Architecture, Checkpoint
from worker.engine.pipelines.multimodal.generating import GeneratingPipeline, prompt_of
from worker.engine.pipelines.multimodal.processors import ImagesOfChats
from worker.engine.pipelines.multimodal.prompts import Chat, Prompt, check_marks, check_no_marks, read
from worker.engine.pipelines.staged import Pass, Row, Tensors
from worker.engine.pipelines.vision.base import decode_for

_Chat: Any = chat_template_utils.Chat

logger = logging.getLogger(__name__)

_POSTPROCESSING = ("return_full_text", "continue_final_message")


@dataclass(frozen=True, slots=True)
class Options:
    """A batch's parameters, as the three steps need them."""

    parameters: dict[str, Any]
    generation: dict[str, Any]
    postprocessing: dict[str, Any]


class ImageTextToText(GeneratingPipeline):
    """Returns `{"input_text", "generated_text"}` for a prompt or a chat, `{"generated_text"}` for an image.

    Images in a chat are not repeated in the output. Rows whose prompts have the same length share a pass, if
    a trial shows that the model keeps them apart.
    """

    architecture: ClassVar[Architecture] = Architecture(
        transformers.AutoModelForImageTextToText, processor=ImagesOfChats
    )

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        super().__init__(spec, checkpoint)
        self.pipeline: Any = transformers.pipeline(
            "image-text-to-text", model=self.model, processor=self.processor, device=self.device
        )
        self.chats = bool(getattr(self.processor, "chat_template", None))
        self.mark = getattr(self.processor, "image_token", None)
        if self.mark is not None:
            self.mark = str(self.mark)
        self.mark_id = getattr(self.model.config, "image_token_id", None)
        with torch.inference_mode():
            self.shares = self._keeps_rows_apart()
        if not self.shares:
            logger.warning("model %s: batching changes its answers, so inputs run one at a time", spec.name)

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """See LoadedPipeline."""
        return [self._sample(encoded.decode(LANDSCAPE))], {"max_new_tokens": 4, "do_sample": False}

    def _options(self, parameters: dict[str, Any]) -> Options:
        given = {name: parameters[name] for name in _POSTPROCESSING if name in parameters}
        generation = {name: value for name, value in parameters.items() if name not in _POSTPROCESSING}
        _, _, postprocessing = self.pipeline._sanitize_parameters(**given)
        return Options(parameters, generation, postprocessing)

    def _rows(self, one: Any, options: Options) -> list[Row]:
        images = getattr(self.processor, "image_processor", self.processor)
        given = read(one, lambda data: decode_for(images, data, self.limits))
        try:
            tensors = self._tensors(given, options)
        except jinja2.TemplateError as error:  # templates use it for roles in a wrong order
            raise InvalidRequest(f"the model's chat template refuses the messages: {error}") from None
        except (ValueError, TypeError, LookupError, StopIteration) as error:
            self._check_marked(given)
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            raise InvalidRequest(f"the input cannot be prepared for the model: {reason}") from None
        self._room(self._prompt_length(tensors), options.parameters)
        # the pictures are not kept until the batch is answered
        shown = _Chat(given.shown) if isinstance(given, Chat) else given.text
        return [Row(tensors, (shown, prompt_of(tensors)))]

    def _forward(self, tensors: Tensors, options: Options) -> Any:
        arguments = self.pipeline._prepare_generate_kwargs(options.generation)
        room = self._room(self._prompt_length(tensors), options.parameters)
        if room is not None and "max_new_tokens" in arguments:
            arguments["max_new_tokens"] = min(arguments["max_new_tokens"], room)
        return self._generated(tensors, arguments)

    def _output(self, rows: Sequence[Row], answers: Sequence[Any], options: Options) -> Any:
        shown, prompt = rows[0].about
        sequences = self._ended(answers[0], prompt)
        if shown is None:
            texts = self.processor.post_process_image_text_to_text(sequences, skip_special_tokens=True)
            return [{"generated_text": text} for text in texts]
        result = {"generated_sequence": sequences, "input_ids": prompt, "prompt_text": shown}
        return self.pipeline.postprocess(result, **options.postprocessing)

    def _passes(self, rows: Sequence[Row]) -> list[Pass]:
        if self.shares:
            return super()._passes(rows)
        return [Pass([place], row.tensors) for place, row in enumerate(rows)]

    def _tensors(self, given: Prompt | Chat, options: Options) -> Tensors:
        if isinstance(given, Chat):
            found = self._of_chat(given, options)
        elif given.text is None:
            self._check_captions()
            found = self.processor(images=given.images[0], return_tensors="pt")
        else:
            check_marks(given.text, self.mark, len(given.images))
            images = given.images if len(given.images) > 1 else given.images[0]
            found = self.pipeline.preprocess({"images": images, "text": given.text})
            self._check_place(found)
        return {name: value for name, value in found.items() if name != "text"}

    def _of_chat(self, chat: Chat, options: Options) -> Any:
        if not self.chats:
            raise InvalidRequest("the model has no chat template; send an image and a text")
        check_no_marks(chat, self.mark)
        last = options.parameters.get("continue_final_message")
        if last is None:
            last = chat.shown[-1]["role"] == "assistant"
        if last and "text" not in chat.shown[-1]["content"][-1]:
            raise InvalidRequest("the last message is to be continued, so it must end with a text")
        return self.pipeline.preprocess(_Chat(chat.messages), continue_final_message=last)

    def _check_captions(self) -> None:
        if self.chats or self.mark_id is not None:
            raise InvalidRequest(f"the model needs a text with its image; {self._advice()}")

    def _check_place(self, tensors: Any) -> None:
        """Raises InvalidRequest if the image would have no place among the tokens."""
        if self.mark_id is not None and not (prompt_of(tensors) == self.mark_id).any():
            raise InvalidRequest(f"the text has no place for the image; {self._advice()}")

    def _check_marked(self, given: Prompt | Chat) -> None:
        """Raises InvalidRequest if a text lacks the mark that most processors need."""
        if isinstance(given, Prompt) and self.mark and self.mark not in (given.text or ""):
            raise InvalidRequest(f"the text has no place for the image; {self._advice()}")

    def _advice(self) -> str:
        mark = f"write {self.mark} where it goes" if self.mark else "use the model's format of prompts"
        return f"{mark}, or send messages" if self.chats else mark

    def _prompt_length(self, tensors: Tensors) -> int:
        prompt = tensors.get("decoder_input_ids")
        if prompt is None and not self.model.config.is_encoder_decoder:
            prompt = tensors.get("input_ids")
        return 1 if prompt is None else int(prompt.shape[-1])

    def _sample(self, image: bytes) -> dict[str, Any]:
        if self.chats:
            content = [{"type": "image", "image": image}, {"type": "text", "text": "Describe this image."}]
            return {"messages": [{"role": "user", "content": content}]}
        if self.mark_id is None:
            return {"image": image}
        return {"image": image, "text": f"{self.mark or ''} Describe this image."}

    def _keeps_rows_apart(self) -> bool:
        """Whether another image in the same pass leaves the model's prediction as it is."""
        images = [encoded.decode(LANDSCAPE), _turned(encoded.decode(LANDSCAPE))]
        try:
            rows = [self._rows(self._sample(image), self._options({}))[0] for image in images]
            alone = [self._predicted([row])[0] for row in rows]
        except Exception as error:
            raise ConfigurationError(f"model {self.spec.name!r}: a trial run failed: {error}") from error
        try:
            together = self._predicted(rows)
        except Exception as error:  # a model that expects other shapes may raise anything
            logger.debug("model %s: images cannot share a pass: %s", self.spec.name, error)
            return False
        tolerance = 1e-4 if self.info.dtype == "float32" else 0.1
        return all(
            float((one - other).abs().max()) <= tolerance * float(one.abs().max()) + 1e-6
            for one, other in zip(alone, together, strict=True)
        )

    def _predicted(self, rows: list[Row]) -> list[torch.Tensor]:
        """Returns the logits of the first new token for each row of a pass."""
        tensors = {name: torch.cat([row.tensors[name] for row in rows]) for name in rows[0].tensors}
        output = self.model.generate(
            **self._on_device(tensors),
            max_new_tokens=1,
            do_sample=False,
            num_beams=1,
            output_logits=True,
            return_dict_in_generate=True,
        )
        logits = output.logits[0].float().cpu()
        if len(logits) != len(rows):
            raise ValueError(f"{len(logits)} answers for {len(rows)} rows")
        return list(logits)


def _turned(data: bytes) -> bytes:
    file = io.BytesIO()
    PIL.Image.open(io.BytesIO(data)).transpose(PIL.Image.Transpose.ROTATE_180).save(file, "PNG")
    return file.getvalue()
