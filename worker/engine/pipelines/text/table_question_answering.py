"""Table question answering: the cells of a table that answer a query."""

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
import transformers

from jobs.errors import ConfigurationError, InvalidRequest
from jobs.models import ModelSpec
from jobs.tasks.text.table_question_answering import TABLE_QUESTION_ANSWERING
from worker.engine.pipelines.checkpoint import Architecture, Checkpoint
from worker.engine.pipelines.interface import Prepared
from worker.engine.pipelines.text.base import SAMPLES, Layout
from worker.engine.pipelines.text.encoder import EncoderPipeline, Predicted
from worker.engine.pipelines.text.padding import pad_right


class TableQuestionAnswering(EncoderPipeline):
    """Returns the answer to each query, its cells and their coordinates, for TAPAS models.

    Rows at the end of a table that does not fit are not read.
    """

    architecture = Architecture(
        transformers.AutoModelForTableQuestionAnswering, head=TABLE_QUESTION_ANSWERING.heads
    )
    postprocessing = "table-question-answering"
    compared_texts: ClassVar[int | None] = 64  # its tokenizer is slow

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        try:
            import pandas
        except ImportError:
            raise ConfigurationError(
                f"model {spec.name!r}: table-question-answering needs pandas (pip install pandas)"
            ) from None
        self._table = pandas.DataFrame
        super().__init__(spec, checkpoint)

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """See LoadedPipeline."""
        return list(map(self.question, SAMPLES)), {}

    def question(self, text: str) -> dict[str, Any]:
        """See ComparablePipeline. The start of the text is the query, its words are cells of two columns."""
        words = text.split()
        table = {"first": words[::2], "second": [*words[1::2], *[""] * (len(words) % 2)]}
        return {"table": table, "query": " ".join(words[:4])}

    def compared(self, output: Any) -> Any:
        """See ComparablePipeline."""
        return [output["answer"]]

    def _check(self, one: Any) -> None:
        TABLE_QUESTION_ANSWERING.input.check(one, "/inputs")
        if not one["query"].strip():
            raise InvalidRequest("the query is empty")

    def _prepare(self, inputs: list[Any], parameters: dict[str, Any]) -> Prepared:
        rows = list(map(self._encoded, inputs))
        encoding = {name: [row[name] for row in rows] for name in rows[0]}
        return self._rows(inputs, encoding, parameters)

    def _encoded(self, one: dict[str, Any]) -> dict[str, Any]:
        """Returns the ids of the tokens, and for each the cell to which it belongs."""
        refusal = InvalidRequest(
            f"no row of the table fits beside the query into the {self.info.max_length} tokens of the model"
        )
        try:
            row = dict(self.tokenizer(self._table(one["table"]), one["query"], truncation="drop_rows_to_fit"))
        except ValueError as error:
            raise refusal from error
        # [tokens][segment, column, row, ...]; without a row of the table nothing can be answered
        highest = torch.tensor(row["token_type_ids"]).amax(dim=0).tolist()
        if highest[2] == 0 or len(row["input_ids"]) > (self.info.max_length or len(row["input_ids"])):
            raise refusal
        for name, given, known in zip(
            ("columns", "rows"), highest[1:3], self.model.config.type_vocab_sizes[1:3], strict=True
        ):
            if given >= known:
                raise InvalidRequest(f"the table has {given} {name}, and the model reads {known - 1}")
        return row

    def _layouts(self) -> Iterator[Layout]:
        yield "padded"

    def _padded(self, name: str, rows: list[Any]) -> torch.Tensor:
        if name != "token_type_ids":
            return super()._padded(name, rows)
        return self._staged(pad_right(rows, [0] * len(rows[0][0])))

    def _read(self, output: Any) -> torch.Tensor:
        """Returns [rows, tokens, 1 + aggregations]: the aggregation is repeated for each token."""
        logits: torch.Tensor = output.logits[..., None]
        if not self.pipeline.aggregate:
            return logits
        aggregation = output.logits_aggregation[:, None].expand(-1, logits.shape[1], -1)
        return torch.cat([logits, aggregation], dim=-1)

    def _predict(self, texts: list[str]) -> list[torch.Tensor]:
        rows = [self._encoded(self.question(text)) for text in texts]
        encoding = {name: [row[name] for row in rows] for name in rows[0]}
        return self._run(self._pass(encoding, list(range(len(rows)))))

    def _answer(self, computed: Predicted) -> list[Any]:
        names = self.tokenizer.model_input_names
        outputs = []
        for row, (one, numbers) in enumerate(zip(computed.rows.inputs, computed.outputs, strict=True)):
            result = {
                "model_inputs": {name: torch.tensor([computed.rows.encoding[name][row]]) for name in names},
                "table": self._table(one["table"]),
                "outputs": (numbers[None, :, 0].float(), numbers[:1, 1:].float()),
            }
            outputs.append(self.pipeline.postprocess(result))
        return outputs
