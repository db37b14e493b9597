"""The control socket: who may open it, whose it is, and clients that say or do what they should not."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ocdsup.control.protocol import Request
from ocdsup.errors import ControlError
from ocdsup.runtime import control_port
from ocdsup.runtime.control_port import ControlPort, Emit, open_socket, risk
from ocdsup.runtime.tasks import Tasks
from tests.runtime.kept_log import KeptLog

Until = Callable[[Callable[[], object]], Awaitable[None]]


class Port:
    """A control port whose verbs the test writes; `asked` are the requests that reached them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.log = KeptLog()
        self.tasks = Tasks(self.log.failed)
        self.asked: list[Request] = []
        self.rule: Callable[[Request, Emit], Awaitable[Any]] = self._plain
        self.control = ControlPort(str(path), self._carry_out, self.tasks, self.log.failed, self.log)
        self._writers: list[asyncio.StreamWriter] = []

    async def _plain(self, request: Request, _emit: Emit) -> Any:
        return {"text": request.verb}

    async def _carry_out(self, request: Request, emit: Emit) -> Any:
        self.asked.append(request)
        return await self.rule(request, emit)

    async def client(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect a client."""
        reader, writer = await asyncio.open_unix_connection(str(self.path), limit=1 << 24)
        self._writers.append(writer)
        return reader, writer

    async def ask(self, line: bytes) -> dict[str, Any]:
        """Send one line from a client of its own; return the answer."""
        reader, writer = await self.client()
        writer.write(line + b"\n")
        return await answer(reader)

    async def end(self) -> None:
        self.control.close()
        await self.tasks.cancel()
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)


async def answer(reader: asyncio.StreamReader) -> dict[str, Any]:
    async with asyncio.timeout(20):
        found: dict[str, Any] = json.loads(await reader.readline())
    return found


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[Port]:
    """A control port in a folder of its own."""
    made = Port(tmp_path / "run" / "control.sock")
    yield made
    await made.end()


STATUS = b'{"id": 1, "verb": "status"}'


async def test_the_socket_and_the_folder_made_for_it_are_for_the_user_and_the_group(port: Port) -> None:
    assert stat.S_IMODE(port.path.stat().st_mode) == 0o660
    assert stat.S_IMODE(port.path.parent.stat().st_mode) == 0o750


async def test_a_request_is_answered_under_its_id_and_knows_who_asks(port: Port) -> None:
    assert await port.ask(b'{"id": "x7", "verb": "status"}') == {"id": "x7", "ok": True, "result": {"text": "status"}}
    assert port.asked[0].peer == (os.getpid(), os.geteuid())


async def test_only_a_verb_that_acts_is_logged_with_who_asked(port: Port) -> None:
    await port.ask(STATUS)
    await port.ask(b'{"id": 1, "verb": "restart", "bench": "nucleo", "args": {"under_reset": true}}')
    (asked,) = port.log.named("asked")
    assert asked == {
        "verb": "restart",
        "bench": "nucleo",
        "args": {"under_reset": True},
        "pid": os.getpid(),
        "uid": os.geteuid(),
    }


async def test_a_socket_that_a_dead_daemon_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with open_socket(str(path)) as fresh, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert fresh.getsockname() == str(path)


async def test_the_socket_of_a_living_daemon_is_refused_and_left_alone(port: Port) -> None:
    with pytest.raises(ControlError, match="another ocdsup daemon listens there") as refused:
        open_socket(str(port.path))
    assert refused.value.code == "busy"
    assert (await port.ask(STATUS))["ok"]


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_something_else_of_that_name_is_refused_and_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "control.sock"
    make: dict[str, Callable[[], object]] = {
        "file": lambda: path.write_text("mine"),
        "folder": path.mkdir,
        "dangling link": lambda: path.symlink_to(tmp_path / "nowhere"),
    }
    make[kind]()
    before = path.lstat().st_ino
    with pytest.raises(ControlError, match="something that is no socket has that name"):
        open_socket(str(path))
    assert path.lstat().st_ino == before


@pytest.mark.parametrize("where", ["x" * 200, "file/control.sock"], ids=["too long", "below a file"])
def test_a_path_that_cannot_be_bound_is_an_error_with_the_path_in_it(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ControlError, match="open the control socket"):
        open_socket(str(tmp_path / where))


@pytest.mark.parametrize(
    "junk",
    [
        *(b"hello", b"[]", b"\xff\xfe", b"x" * 1_000_000),
        *(b'{"id": 1, "verb": "__class__"}', b'{"id": 1, "verb": "status", "no": 1}'),
    ],
    ids=["words", "a list", "no UTF-8", "1 MB", "an unknown verb", "an unknown key"],
)
async def test_junk_is_refused_while_its_client_and_the_others_live_on(port: Port, junk: bytes) -> None:
    reader, writer = await port.client()
    writer.write(junk + b"\n" + STATUS + b"\n")
    refusal = await answer(reader)
    assert refusal["ok"] is False
    assert refusal["error"]["code"] in {"bad-request", "unknown-verb"}
    assert (await answer(reader))["ok"]
    assert (await port.ask(STATUS))["ok"]


async def test_a_refusal_reaches_the_client_with_its_code_and_the_next_step(port: Port) -> None:
    async def refuse(_request: Request, _emit: Emit) -> Any:
        raise ControlError("unknown-bench", "find the bench 'x'", "there is no such bench", "there are: a")

    port.rule = refuse
    error = (await port.ask(STATUS))["error"]
    assert error["code"] == "unknown-bench"
    assert "there is no such bench" in error["text"]
    assert error["hint"] == "there are: a"


async def test_a_mistake_of_ours_is_answered_logged_and_not_told_in_full(port: Port) -> None:
    """The text of an exception may be a board's, and is nothing a client can use."""

    async def broken(_request: Request, _emit: Emit) -> Any:
        raise KeyError("board says \x1b[31m")

    port.rule = broken
    reply = await port.ask(STATUS)
    assert (reply["ok"], reply["error"]["code"]) == (False, "internal")
    assert "board says" not in json.dumps(reply)
    assert port.log.named("task_failed")[0]["task"] == "control-status"
    port.rule = port._plain
    assert (await port.ask(STATUS))["ok"]


async def test_a_long_request_does_not_hold_up_the_next_one_of_the_same_client(port: Port) -> None:
    slow = asyncio.Event()

    async def rule(request: Request, _emit: Emit) -> Any:
        if request.id == 1:
            await slow.wait()
        return request.id

    port.rule = rule
    reader, writer = await port.client()
    writer.write(STATUS + b"\n" + STATUS.replace(b"1", b"2") + b"\n")
    assert (await answer(reader))["id"] == 2
    slow.set()
    assert (await answer(reader))["id"] == 1


async def test_a_client_that_goes_takes_its_work_with_it(port: Port) -> None:
    """Nobody is left to be told; `watch` and `logs --follow` end this way."""
    began, ended = asyncio.Event(), asyncio.Event()

    async def follow(_request: Request, emit: Emit) -> Any:
        emit({"n": 1})
        began.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    port.rule = follow
    reader, writer = await port.client()
    writer.write(STATUS + b"\n")
    assert await answer(reader) == {"id": 1, "event": {"n": 1}}
    assert began.is_set()
    writer.close()
    async with asyncio.timeout(20):
        await ended.wait()
    assert port.log.named("task_failed") == []


async def test_a_client_that_only_sends_no_more_gets_its_answers(port: Port, until: Until) -> None:
    """`echo '{"id": 1, "verb": "wait", …}' | socat - UNIX:control.sock`."""
    slow = asyncio.Event()

    async def rule(request: Request, _emit: Emit) -> Any:
        await slow.wait()
        return request.id

    port.rule = rule
    reader, writer = await port.client()
    writer.write(STATUS + b"\n" + STATUS.replace(b"1", b"2") + b"\n")
    writer.write_eof()
    await until(lambda: port.control._sessions[0]._silent)
    slow.set()
    async with asyncio.timeout(20):
        answers = (await reader.read()).splitlines()
    assert [json.loads(line)["result"] for line in answers] == [1, 2]
    assert port.control._sessions == []


async def test_a_stream_ends_with_a_client_that_sends_no_more(port: Port) -> None:
    """Nobody could tell one that is gone from it any more, and a loan would last for ever."""

    async def rule(_request: Request, emit: Emit) -> Any:
        emit({"n": 1})
        await asyncio.get_running_loop().create_future()

    port.rule = rule
    reader, writer = await port.client()
    writer.write(b'{"id": 1, "verb": "watch"}\n')
    assert await answer(reader) == {"id": 1, "event": {"n": 1}}
    writer.write_eof()
    async with asyncio.timeout(20):
        assert await reader.read() == b""


async def test_a_client_that_does_not_read_is_cut_and_the_others_are_served(port: Port, until: Until) -> None:
    async def flood(request: Request, emit: Emit) -> Any:
        while request.id == 1:
            emit("x" * 65536)
            await asyncio.sleep(0)
        return "done"

    port.rule = flood
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.connect(str(port.path))
        deaf.sendall(STATUS + b"\n")
        await until(lambda: port.log.named("control_deaf"))
        assert port.log.named("control_deaf") == [{"pid": os.getpid()}]
        assert (await port.ask(STATUS.replace(b"1", b"2")))["result"] == "done"


async def test_one_client_too_many_is_refused_and_the_next_is_served_when_one_has_gone(
    port: Port, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_port, "MAX_CLIENTS", 2)
    clients = [await port.client() for _ in range(2)]
    await until(lambda: len(port.control._sessions) == 2)
    reader, _ = await port.client()
    async with asyncio.timeout(20):
        assert await reader.read() == b""
    assert len(port.log.named("control_too_many_clients")) == 1
    clients[0][1].close()
    await until(lambda: len(port.control._sessions) == 1)
    assert (await port.ask(STATUS))["ok"]


async def test_the_end_removes_the_socket_and_ends_the_clients(port: Port) -> None:
    reader, _ = await port.client()
    assert (await port.ask(STATUS))["ok"]
    port.control.close()
    async with asyncio.timeout(20):
        assert await reader.read() == b""
    assert not port.path.exists()


async def test_the_end_leaves_the_socket_of_a_daemon_that_came_after_us(port: Port) -> None:
    os.unlink(port.path)
    with open_socket(str(port.path)) as other:
        port.control.close()
        assert port.path.exists()
        assert other.fileno() >= 0


@pytest.mark.parametrize("uid", [0, os.geteuid(), os.geteuid() + 12345])
async def test_a_request_carries_who_asks(port: Port, monkeypatch: pytest.MonkeyPatch, uid: int) -> None:
    """Whoever may write to the socket may operate benches; what Tcl he may run depends on who he is (`dropin.evaluate`)."""
    monkeypatch.setattr(control_port, "peer", lambda _sock: (812, uid))
    for verb in (b'"tcl", "bench": "nucleo", "args": {"script": "targets"}', b'"stop", "bench": "nucleo"'):
        assert (await port.ask(b'{"id": 1, "verb": ' + verb + b"}"))["ok"]
    assert [request.peer for request in port.asked] == [(812, uid)] * 2


# Whose folder it is


@pytest.mark.parametrize(("mode", "risky"), [(0o755, False), (0o750, False), (0o777, True), (0o770, True), (0o1777, False)])
def test_a_folder_where_others_could_take_its_place_is_a_risk(tmp_path: Path, mode: int, risky: bool) -> None:
    """In one with the sticky bit nobody can remove another one's socket."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d").chmod(mode)
    assert risk(str(tmp_path / "d" / "s")) == (f"others than its owner may write to {tmp_path}/d" if risky else "")


@pytest.mark.parametrize("link", [False, True])
def test_a_strangers_folder_or_link_is_a_risk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: bool) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    (tmp_path / "l").symlink_to(folder)
    found = os.lstat(tmp_path / "l") if link else os.stat(folder)
    stranger = os.stat_result((*found[:4], 73000, *found[5:10]))
    monkeypatch.setattr(os, "lstat" if link else "stat", lambda *_args, **_more: stranger)
    assert "of the user with id 73000" in risk(f"{tmp_path / 'l'}/s") if link else "belongs to" in risk(f"{folder}/s")


async def test_a_risk_is_logged_and_no_error(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d").chmod(0o777)
    port = Port(tmp_path / "d" / "s")
    try:
        (told,) = port.log.named("control_folder_of_others")
        assert f"others than its owner may write to {tmp_path}/d" in told["why"]
    finally:
        await port.end()
