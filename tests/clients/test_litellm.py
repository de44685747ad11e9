"""litellm, which knows this server as an OpenAI-compatible one."""

import pytest
import torch

from tests.clients.process import ClientProcess, ClientRaised
from tests.clients.test_openai import TEXTS


async def test_its_answers_equal_those_of_the_client(url: str, clients: ClientProcess) -> None:
    found = await clients.call("lite:embed", url=url, model="org/embedder", texts=TEXTS)
    plain = await clients.call("openai_sdk:embed", url=url, model="org/embedder", input=TEXTS)
    expected = torch.tensor([each["embedding"] for each in plain["data"]])
    torch.testing.assert_close(torch.tensor(found), expected, atol=1e-5, rtol=0)

    how = {"url": url, "model": "writer", "max_tokens": 12, "temperature": 0}
    messages = [{"role": "user", "content": TEXTS[0]}]
    whole = (await clients.call("openai_sdk:chat", messages=messages, **how))["choices"][0]["message"]
    assert await clients.call("lite:chat", text=TEXTS[0], **how) == whole["content"]
    assert await clients.call("lite:stream_chat", text=TEXTS[0], **how) == whole["content"]


async def test_an_unknown_model_is_its_not_found_error(url: str, clients: ClientProcess) -> None:
    with pytest.raises(ClientRaised, match="no model named 'gone' is served") as raised:
        await clients.call("lite:unknown_model", url=url)
    assert raised.value.kind == "NotFoundError"
