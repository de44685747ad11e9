"""The body of a rerank request, as Cohere (v1 and v2) and Jina define it, and the texts of its documents.

Members that only tune how the provider computes, such as `max_tokens_per_doc`, are ignored: a document is cut
at the model's length.
"""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from jobs.errors import InvalidRequest

Document = str | dict[str, Any]


class RerankRequest(msgspec.Struct, frozen=True):
    """The request. An object among the documents has its text in `text`, or in the fields `rank_fields`."""

    query: Annotated[str, Meta(min_length=1)]
    documents: Annotated[list[Document], Meta(min_length=1)]
    model: str | UnsetType | None = UNSET
    """The model's name or alias; by default the first with the task text-ranking."""
    top_n: Annotated[int, Meta(ge=1)] | UnsetType | None = UNSET
    """Most documents in the answer; by default all."""
    return_documents: bool | None = False
    """Whether the answer has the documents' texts."""
    rank_fields: Annotated[list[str], Meta(min_length=1)] | UnsetType | None = UNSET
    """Fields of documents that are objects, each a line of the text that is ranked."""
    raw_scores: bool | None = False
    """Whether scores are as the model computes them, not between 0 and 1."""
    relevant_spans: Any = None
    """Refused: parts of documents are not found."""

    @property
    def top(self) -> int | None:
        return self.top_n or None

    def texts(self) -> list[str]:
        """The text of each document. Raises InvalidRequest for a document without one."""
        if self.relevant_spans:
            raise InvalidRequest("relevant_spans: not supported; leave it out", pointer="/relevant_spans")
        fields = self.rank_fields or ("text",)
        return [_text(each, fields, index) for index, each in enumerate(self.documents)]


def _text(document: Document, fields: Sequence[str], index: int) -> str:
    if isinstance(document, str):
        return document
    found = {name: document[name] for name in fields if document.get(name) is not None}
    if not found:
        missing = f"a member {fields[0]}" if len(fields) == 1 else f"one of the members {', '.join(fields)}"
        raise InvalidRequest(
            f"documents/{index}: give a text, or an object with {missing}", pointer=f"/documents/{index}"
        )
    if list(fields) == ["text"]:
        if not isinstance(found["text"], str):
            where = f"documents/{index}/text"
            raise InvalidRequest(f"{where}: give a text", pointer=f"/{where}")
        return found["text"]
    return "\n".join(f"{name}: {_shown(value)}" for name, value in found.items())


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
