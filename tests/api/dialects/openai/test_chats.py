"""POST /v1/chat/completions and /v1/completions: settings as parameters, and what is refused."""

from typing import Any

import httpx
import pytest

from jobs.ledger import views
from jobs.ledger.wire import decode_payload
from tests.api.dialects.answering import asked
from tests.ledger import JobQueue

CHAT, COMPLETION = "/v1/chat/completions", "/v1/completions"
MESSAGES = [{"role": "user", "content": "Hello!"}]
OURS = {"return_full_text": False, "details": True}


def output(text: str) -> dict[str, Any]:
    details = {"finish_reason": "length", "prompt_tokens": 3, "generated_tokens": 2}
    return {"output": [{"generated_text": text, "details": details}]}


@pytest.mark.parametrize(
    ("settings_given", "parameters"),
    [
        ({}, {}),
        ({"max_tokens": 5}, {"max_new_tokens": 5}),
        ({"max_tokens": 5, "max_completion_tokens": 7}, {"max_new_tokens": 7}),
        ({"temperature": 0}, {"do_sample": False}),
        ({"temperature": 1}, {"do_sample": True, "temperature": 1.0}),
        ({"top_p": 0.5}, {"do_sample": True, "top_p": 0.5}),
        ({"temperature": 0, "top_p": 0.5}, {"do_sample": False, "top_p": 0.5}),
        ({"seed": 5, "stop": "."}, {"seed": 5, "stop": ["."]}),
        ({"stop": [".", "!"], "logprobs": False, "tools": []}, {"stop": [".", "!"]}),
        ({"user": "me", "store": True, "metadata": {"a": "b"}, "n": 1, "stop": None}, {}),
    ],
)
async def test_settings_become_parameters(
    client: httpx.AsyncClient,
    queue: JobQueue,
    settings_given: dict[str, Any],
    parameters: dict[str, Any],
) -> None:
    body = {"messages": MESSAGES, **settings_given}
    answer, claimed = await asked(client, queue, CHAT, body, [output("Good evening")], "writer")
    assert answer.json()["choices"][0]["message"]["content"] == "Good evening"
    assert decode_payload(claimed.payload).k["parameters"] == OURS | parameters


async def test_messages_are_those_of_a_template(client: httpx.AsyncClient, queue: JobQueue) -> None:
    answered = {"role": "assistant", "content": "Hi", "refusal": None, "tool_calls": None, "audio": None}
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    messages = [{"role": "developer", "content": "Be kind."}, answered, {"role": "user", "content": parts}]
    body = {"messages": messages, "n": 2}
    answer, claimed = await asked(client, queue, CHAT, body, [output("x"), output("y")], "writer")
    chat = {
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "assistant", "content": "Hi"},
            {"role": "user", "content": "a\nb"},
        ]
    }
    assert views.inputs_of(claimed.payload).inputs == [chat, chat]
    assert [each["message"]["content"] for each in answer.json()["choices"]] == ["x", "y"]
    assert answer.json()["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


async def test_prompts_are_one_job(client: httpx.AsyncClient, queue: JobQueue) -> None:
    body = {"prompt": ["a", "b"], "n": 2}
    results = [output(text) for text in "wxyz"]
    answer, claimed = await asked(client, queue, COMPLETION, body, results, "writer")
    assert views.inputs_of(claimed.payload).inputs == ["a", "a", "b", "b"]
    assert decode_payload(claimed.payload).k["parameters"] == OURS | {"max_new_tokens": 16}
    assert [each["text"] for each in answer.json()["choices"]] == list("wxyz")
    assert answer.json()["usage"]["prompt_tokens"] == 6


async def test_outputs_of_an_older_worker_have_no_details(client: httpx.AsyncClient, queue: JobQueue) -> None:
    old = {"output": [{"generated_text": "Good"}]}
    answer, _ = await asked(client, queue, CHAT, {"messages": MESSAGES}, [old], "writer")
    assert answer.json()["choices"][0]["finish_reason"] == "stop"
    odd = {"output": {"label": "x"}}
    answer, _ = await asked(client, queue, CHAT, {"messages": MESSAGES}, [odd], "writer")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "job_failed")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"logprobs": True}, "logprobs: this setting is not supported"),
        ({"tools": [{"type": "function"}]}, "tools: this setting is not supported"),
        ({"response_format": {"type": "json_object"}}, "only text is supported"),
        ({"modalities": ["audio"]}, "only text is supported"),
        ({"frequency_penalty": 0.5}, "frequency_penalty: this setting is not supported"),
        ({"max_tokens": 5_000}, "max_tokens: give a whole number from 1 to 4,096"),
        ({"max_completion_tokens": 5_000}, "max_completion_tokens: give a whole number from 1 to 4,096"),
        ({"messages": MESSAGES * 1_001}, "messages: give a list of 1 to 1,000 entries"),
        ({"max_tokens": 0}, "max_tokens: give a whole number, 1 or more"),
        ({"temperature": 3}, "temperature: give a number from 0 to 2"),
        ({"n": 2, "seed": 1}, "all n texts would be the same"),
        ({"n": 200}, "n: give a whole number from 1 to 128"),
        ({"messages": []}, "messages: "),
        ({"messages": [{"role": "tool", "content": "a"}]}, "the role 'tool' is not supported"),
        ({"messages": [{"role": "user", "content": None}]}, "messages/0/content: give a text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
            "messages/0/content: only texts are supported",
        ),
        ({"messages": [{"role": "assistant", "tool_calls": [{}]}]}, "calls of tools are not"),
        ({"stop": ["a"] * 5}, "stop: give a list of 1 to 4 texts"),
        ({"stop": ""}, None),
        ({"stream_options": {"include_usage": True}}, "they need stream"),
        (
            {"model": "mood"},
            "this call needs text-generation; there is writer",
        ),
        ({"colour": "red"}, "colour is unknown"),
        ({"messages": [{"role": "user", "content": "a" * 100_001}]}, "characters exceed this model's limit"),
    ],
)
async def test_what_cannot_be_done_is_refused(
    client: httpx.AsyncClient, queue: JobQueue, setting: dict[str, Any], message: str | None
) -> None:
    body = {"messages": MESSAGES, **setting}
    if message is None:
        answer, _ = await asked(client, queue, CHAT, body, [output("x")], "writer")
        assert answer.status_code == 200
        return
    for stream in (False, True):
        more = {} if "stream_options" in setting else {"stream": stream}
        answer = await client.post(CHAT, json=body | more)
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
        assert message in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"prompt": [1, 2]}, "prompt: this server takes texts and no token ids"),
        ({"logprobs": 0}, "logprobs: this setting is not supported"),
        ({"echo": True}, "echo: this setting is not supported"),
        ({"best_of": 3}, "best_of: this setting is not supported"),
        ({"suffix": "x"}, "suffix: this setting is not supported"),
        ({"prompt": []}, "prompt: give at least one input"),
    ],
)
async def test_completions_refuse_what_cannot_be_done(
    client: httpx.AsyncClient, setting: dict[str, Any], message: str
) -> None:
    answer = await client.post(COMPLETION, json={"prompt": "a", **setting})
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "prompts"),
    [
        (CHAT, {"messages": [{"role": "user", "content": "a" * 70_000}]}),
        (COMPLETION, {"prompt": ["a" * 35_000, "b" * 35_000]}),
    ],
)
async def test_choices_do_not_make_a_job_larger_than_a_request_may_be(
    client: httpx.AsyncClient, path: str, prompts: dict[str, Any], stream: bool
) -> None:
    answer = await client.post(path, json={**prompts, "n": 128, "stream": stream})
    assert answer.status_code == 413
    assert "have 8,960,000 characters" in answer.json()["error"]["message"]
