"""What a model's dialects are: in /v1/models, on its page, and as code on /try."""

import ast
import shlex
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from api.app import DIALECTS
from api.dialect import Dialects, SampleRequest
from api.dialects.samples import literal
from jobs import tasks
from jobs.catalog import load_catalog
from jobs.models import ModelSpec
from jobs.settings import Settings
from tests.api.access.browser import Browser
from tests.api.access.keyed import keyed
from tests.api.api_process import mounted
from tests.api.dialects.tasks.calls import Calls
from tests.api.foreign import Labels
from tests.api.markup import Element, parsed

RANK = ["POST /v1/rerank", "POST /v2/rerank"]
DOCS = Path(__file__).parents[4] / "docs" / "interfaces.md"


async def test_models_name_the_calls_of_their_dialects(calls: Calls) -> None:
    models = (await calls.client.get("/v1/models")).json()["models"]
    found = {model["name"]: {each["name"]: each["calls"] for each in model["dialects"]} for model in models}
    assert found["ranker"]["batchline"] == ["POST /v1/jobs"]
    assert found["ranker"]["rerank"] == RANK
    assert found["ranker"]["tei"] == ["POST /tei/ranker/rerank"]
    assert found["org/vectors"]["tei"] == ["POST /tei/org/vectors/embed", "POST /tei/org/vectors/similarity"]
    assert "rerank" not in found["org/vectors"]


def test_a_model_without_a_chat_template_offers_no_chats(tmp_path: Path) -> None:
    for name in ("chats", "writer"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    (tmp_path / "chats" / "chat_template.jinja").write_text("{{ messages }}")
    entry = '[models.{0}]\ntask = "text-generation"\nsource = "{0}"\n'
    (tmp_path / "models.toml").write_text(entry.format("chats") + entry.format("writer"))
    catalog = load_catalog(tmp_path / "models.toml")
    offered = {
        name: [call for dialect in DIALECTS for call in dialect.calls(spec) if "chat" in call.split("/")]
        for name, spec in catalog.specs.items()
    }
    assert offered == {
        "chats": ["POST /v1/chat/completions", "POST /models/chats/v1/chat/completions"],
        "writer": [],
    }


async def test_the_calls_exist(calls: Calls) -> None:
    for spec in calls.services.catalog.specs.values():
        for dialect, offered in calls.services.dialects.for_model(spec):
            for call in offered:
                method, path = call.split()
                answer = await calls.client.request(method, path, json={})
                assert answer.status_code in (400, 422), (dialect.name, call, answer.text)


async def test_the_page_of_a_model_links_to_the_descriptions_of_its_dialects(calls: Calls) -> None:
    page = parsed((await calls.client.get("/models/ranker")).text)
    shown = page.one("dl", class_="interfaces")
    links = {link.text: link["href"] for link in shown.all("a")}
    assert links["Rerank (Cohere, Jina)"] == "/docs/rerank"
    assert links["Batchline"] == "/docs"
    assert {"POST /v1/jobs", *RANK} <= {code.text for code in shown.all("code")}


@pytest.mark.parametrize("task", tasks.TASKS)
def test_the_documentation_has_the_calls_of_each_task(task: str) -> None:
    rows = [line.strip("| ").split("|") for line in DOCS.read_text(encoding="utf-8").splitlines()]
    cells = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows if len(row) == 5}
    spec = ModelSpec(name="NAME", task=task, source="x")
    names = ("openai", "rerank", "tei", "huggingface")
    found = {dialect.name: dialect.calls(spec) for dialect in DIALECTS}
    shown = ["<br>".join(f"`{call.removeprefix('POST ')}`" for call in found[name]) for name in names]
    assert cells.get(task, cells["all others"]) == shown


def shown(page: Element) -> dict[str, str]:
    """The code for each client."""
    card = page.one(id="shell")
    clients = [radio["value"] for radio in card.all("input")]
    codes = ["".join(map(str, code.children)) for code in card.all("pre")]
    return dict(zip(clients, codes, strict=True))


def chosen(page: Element) -> str:
    """The client whose code is shown."""
    [found] = [radio for radio in page.one(id="shell").all("input") if "checked" in radio.attributes]
    return found["value"]


async def test_the_form_is_shown_as_code_for_each_client(calls: Calls) -> None:
    page = parsed((await calls.client.get("/try?model=ranker")).text)
    found = shown(page)
    assert next(iter(found)) == "curl"
    assert list(found)[-1] == "JavaScript"
    assert {"cohere", "TEI"} <= set(found)
    assert chosen(page) == "curl"
    for radio in page.one(id="shell").all("input"):
        assert radio["form"] == "try", "so it is sent, and stays chosen"
    copied = {button["data-copy"] for button in page.one(id="shell").all("button")}
    assert copied == {code["id"] for code in page.one(id="shell").all("pre")}


async def test_the_chosen_client_stays_chosen(calls: Calls) -> None:
    form = {"model": "ranker", "client": "cohere", "i.query": 'a "quoted" query', "i.documents": "one\ntwo"}
    for path in ("/try", "/submit"):
        page = parsed((await calls.client.post(path, data=form, headers={"hx-request": "true"})).text)
        assert chosen(page) == "cohere"
        arguments = called(shown(page)["cohere"], "rerank")
        assert arguments == {"model": "ranker", "query": 'a "quoted" query', "documents": ["one", "two"]}
    other = parsed((await calls.client.post("/try", data=form | {"model": "labels", "shown": "ranker"})).text)
    assert chosen(other) == "curl", "that model has no code for the other"


def called(code: str, function: str) -> dict[str, Any]:
    """The named arguments of the call in a program."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == function:
            return {word.arg or "": ast.literal_eval(word.value) for word in node.keywords}
    raise AssertionError(code)


async def test_the_commands_for_tei_are_accepted(settings: Settings) -> None:
    async with mounted(settings.model_copy(update={"max_wait": 0.01})) as (client, _):
        for model in ("ranker", "labels", "others", "similar"):
            command = shown(parsed((await client.get(f"/try?model={model}")).text))["TEI"]
            words = shlex.split(command)
            answer = await client.post(words[2], json=msgspec.json.decode(words[words.index("-d") + 1]))
            assert answer.status_code == 504, f"{command}: {answer.text}"


async def test_code_reads_the_key_where_one_is_needed(settings: Settings) -> None:
    async with keyed(settings) as edge:
        _, secret = await edge.key("alice")
        browser = Browser(edge)
        await browser.sign_in(secret)
        found = shown(parsed((await browser.get("/try?model=ranker")).text))
        assert 'cohere.ClientV2(os.environ["KEY"]' in found["cohere"]
        assert found["cohere"].startswith("import os\n")
        assert "Authorization: Bearer $KEY" in found["TEI"]
        assert "`Bearer ${process.env.KEY}`" in found["JavaScript"]
        assert all(secret not in code for code in found.values())


def test_a_request_that_a_client_cannot_send_has_no_code() -> None:
    dialects = Dialects(DIALECTS)

    def clients(task: str, inputs: Any, **parameters: Any) -> set[str]:
        spec = ModelSpec(name="m", task=task, source="x")
        return {
            each.client
            for each in dialects.samples(SampleRequest(spec, inputs, parameters, "http://x", False))
        }

    one = {"query": "q", "documents": ["d"]}
    assert {"cohere", "TEI"} <= clients("text-ranking", one)
    assert "cohere" in clients("text-ranking", one, top_k=2)
    assert "TEI" not in clients("text-ranking", one, top_k=2)
    assert not {"cohere", "TEI"} & clients("text-ranking", one, function_to_apply="none")
    assert not {"cohere", "TEI"} & clients("text-ranking", [one, one])
    assert "TEI" not in clients("feature-extraction", "a", pooling="cls")
    assert "TEI" not in clients("text-classification", "a", top_k=2)


@pytest.mark.parametrize(
    "value",
    ["", 'a "b" \\ \n\u2028é', 1.5, True, None, [], ["a", ["b"]], {"a": [1, None]}, [1, 2], [{"a": 1}]],
)
def test_values_are_python(value: Any) -> None:
    assert ast.literal_eval(literal(value)) == value


async def test_a_new_dialect_is_offered_everywhere(settings: Settings) -> None:
    async with mounted(settings, dialects=(*DIALECTS, Labels())) as (client, _):
        page = parsed((await client.get("/try?model=labels")).text)
        assert "label " in shown(page)["labels"]
        models: httpx.Response = await client.get("/v1/models")
        [labels] = [each for each in models.json()["models"] if each["name"] == "labels"]
        assert {"name": "labels", "calls": ["POST /v1/label"]} in labels["dialects"]
