"""The engine's three threads: the steps of neighbouring batches overlap, answers come in order."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

import msgspec
import pytest

from tests.processes import ROOT
from worker.engine.protocol import HEADER, Raised, Ran, Reply, Request, Run, decode_reply, encode


class Client:
    """The worker's end, without the worker."""

    def __init__(self, process: subprocess.Popen[bytes], ours: socket.socket) -> None:
        self.process = process
        self._socket = ours
        self.stream = cast(BinaryIO, ours.makefile("rwb"))

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)

    def ask(self, *requests: Request) -> list[Reply]:
        """The replies, each of which has its request's id."""
        self.stream.write(b"".join(encode(i, request) for i, request in enumerate(requests)))
        self.stream.flush()
        return [self._reply(i) for i in range(len(requests))]

    def _reply(self, wanted: int) -> Reply:
        request_id, length = HEADER.unpack(self.stream.read(HEADER.size))
        assert request_id == wanted
        return decode_reply(self.stream.read(length))


@pytest.fixture
def client() -> Iterator[Client]:
    ours, theirs = socket.socketpair()
    ours.settimeout(30)
    with theirs, ours:
        fd = theirs.fileno()
        command = [sys.executable, "-m", "tests.worker.three_steps", str(fd)]
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=[fd])
        theirs.close()
        try:
            yield Client(process, ours)
        finally:
            process.kill()
            process.wait(10)


def new_run(*texts: str, alone: bool = False) -> Run:
    inputs: list[Any] = list(texts)
    return Run(inputs, {}, alone)


def test_one_batch_is_prepared_and_another_answered_while_a_third_is_computed(client: Client) -> None:
    replies = client.ask(new_run("first"), new_run("second"))
    assert all(isinstance(reply, Ran) for reply in replies), replies
    assert [reply.outputs for reply in replies if isinstance(reply, Ran)] == [[b'"first"'], [b'"second"']]


def test_batches_that_are_alone_and_others_may_take_turns(client: Client) -> None:
    for _ in range(2):
        for alone in (True, True, False, False, True):
            [reply] = client.ask(new_run("x", alone=alone))
            assert isinstance(reply, Ran)
            assert reply.outputs == [b'"x"']
    lone, *others = client.ask(new_run("x", alone=True)) + client.ask(new_run("first"), new_run("second"))
    assert all(isinstance(reply, Ran) for reply in (lone, *others)), others  # the two have overlapped


def test_it_ends_with_the_socket_after_a_batch_that_was_alone(client: Client) -> None:
    client.ask(new_run("x", alone=True))
    client.close()
    assert client.process.wait(20) == 0


def test_it_reports_the_tokens_that_it_ran(client: Client) -> None:
    [reply] = client.ask(new_run("a", "b"))
    assert isinstance(reply, Ran)
    assert (reply.tokens, reply.padded) == (2, 4)


def test_an_answer_that_lacks_an_output_is_the_whole_batchs(client: Client) -> None:
    short, good = client.ask(new_run("short"), new_run("good"))
    assert isinstance(short, Raised)
    assert "0 outputs for 1" in short.detail
    assert isinstance(good, Ran)


def test_it_ends_with_the_socket_whatever_it_computes(client: Client) -> None:
    client.stream.write(encode(7, new_run("first")))  # which waits for a second that never comes
    client.stream.flush()
    client.close()
    assert client.process.wait(20) == 0


def test_an_input_that_cannot_be_decoded_fails_its_batch_only(client: Client) -> None:
    bad, good = client.ask(Run([msgspec.Raw(b"\x91\xa1\xff")], {}), new_run("good"))
    assert isinstance(bad, Raised)
    assert isinstance(good, Ran)
