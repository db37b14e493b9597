"""The least asyncio around a `Proxy`: only for tests that need a real GDB; the daemon has its own edge."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ocdsup.rsp.outputs import CloseBackend, CloseClient, News, Notice, Output, ToBackend, ToClient
from ocdsup.rsp.policy import BackendUp, Policy
from ocdsup.rsp.proxy import Proxy


class Edge:
    """One listener in front of one server; one session at a time."""

    def __init__(self, policy: Policy, host: str, port: int) -> None:
        self.policy, self.host, self.port = policy, host, port
        self.requests: list[bytes] = []  # every write to the backend
        self.tasks: set[asyncio.Task[None]] = set()
        self.kill_backend = asyncio.Event()

    async def session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one GDB."""
        await _Session(self, reader, writer).run()


class _Session:
    def __init__(self, edge: Edge, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.edge, self.reader, self.writer = edge, reader, writer
        self.proxy = Proxy(edge.policy)
        self.loop = asyncio.get_running_loop()
        self.backend: asyncio.StreamWriter | None = None
        self.timer: asyncio.TimerHandle | None = None

    def carry(self, outputs: list[Output]) -> None:
        for output in outputs:
            match output:
                case ToClient(data):
                    self.writer.write(data)
                case ToBackend(data):
                    self.edge.requests.append(data)
                    if self.backend is not None:
                        self.backend.write(data)
                case CloseClient():
                    self.writer.close()
                case CloseBackend():
                    if self.backend is not None:
                        self.backend.close()
                case Notice(news) if news is News.SESSION:
                    self.start(self.serve_backend())
                case Notice():
                    pass
        self.arm()

    def arm(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        due = self.proxy.next_deadline()
        self.timer = None if due is None else self.loop.call_at(due, self.tick)

    def tick(self) -> None:
        self.carry(self.proxy.tick(self.loop.time()))

    def start(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = self.loop.create_task(work)
        self.edge.tasks.add(task)
        task.add_done_callback(self.edge.tasks.discard)

    async def serve_backend(self) -> None:
        reader, self.backend = await asyncio.open_connection(self.edge.host, self.edge.port)
        self.carry(self.proxy.backend_ready(BackendUp(), self.loop.time()))
        while data := await _read(reader):
            self.carry(self.proxy.backend_bytes(data, self.loop.time()))
        self.backend.close()
        self.backend = None
        self.carry(self.proxy.backend_lost("the server closed the connection", self.loop.time()))

    async def run(self) -> None:
        self.carry(self.proxy.client_open(self.loop.time()))
        while data := await _read(self.reader):
            self.carry(self.proxy.client_bytes(data, self.loop.time()))
        self.carry(self.proxy.client_gone(self.loop.time()))
        self.writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65536)
    except ConnectionError:
        return b""


@asynccontextmanager
async def edge(policy: Policy, host: str, port: int) -> AsyncIterator[tuple[Edge, int]]:
    """Listen on a free loopback port in front of `host:port`."""
    here = Edge(policy, host, port)
    server = await asyncio.start_server(here.session, "127.0.0.1", 0)
    try:
        yield here, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(here.tasks):
            task.cancel()
