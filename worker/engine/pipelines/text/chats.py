"""Chats as prompts: the messages in the form that the model was trained with."""

from typing import Any

import jinja2

from jobs.errors import InvalidRequest


def rendered(tokenizer: Any, messages: list[dict[str, str]]) -> list[int]:
    """Returns the tokens of a chat, up to where the model's message begins. Raises InvalidRequest."""
    if not tokenizer.chat_template:
        raise InvalidRequest(
            "the model has no chat template, so it takes no messages; send a text"
            " (in OpenAI's interface with POST /v1/completions)"
        )
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except jinja2.TemplateError as error:  # templates use it for roles in a wrong order
        raise InvalidRequest(f"the model's chat template refuses the messages: {error}") from None
    tokens: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]  # the template has them
    return tokens
