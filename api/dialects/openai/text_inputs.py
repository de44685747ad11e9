"""Texts of OpenAI's requests, which may be token ids."""

import re

import msgspec

from jobs.errors import InvalidRequest

_texts = msgspec.json.Decoder(str | list[str])
_token_ids = re.compile(rb"\s*\[\s*(\[\s*)?-?\d")


def texts_of(raw: msgspec.Raw, field: str) -> str | list[str]:
    """A text or a list of texts. Raises InvalidRequest; for token ids it says what to do."""
    try:
        found: str | list[str] = _texts.decode(raw)
    except msgspec.ValidationError:
        if _token_ids.match(bytes(memoryview(raw)[:64])):
            hint = " (LangChain's OpenAIEmbeddings does with check_embedding_ctx_length=False)"
            raise InvalidRequest(
                f"{field}: this server takes texts and no token ids; send the text itself"
                f"{hint if field == 'input' else ''}",
                pointer=f"/{field}",
            ) from None
        raise InvalidRequest(f"{field}: give a text or a list of texts", pointer=f"/{field}") from None
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from None
    return found
