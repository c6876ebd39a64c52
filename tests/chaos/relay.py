"""A relay between a server and its Redis or PostgreSQL, which can cut, slow or silence the lines of a single worker.

Both speak over unix sockets, whose kernel tells which process is at the other end.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["Relay", "Relays"]

CHUNK = 65_536  # bytes passed on at once
SLOW = 0.06  # seconds by which each chunk is late: a line round half the world
WITHIN = 10.0  # seconds for the loop to do what it is asked


class Relay:
    """Passes on what comes to the socket at `path` to the one at `target`; `harm`: cut, slow or silent."""

    def __init__(self, path: Path, target: Path):
        self.path, self._target = path, target
        self.harm: dict[int, str] = {}
        self._changed = asyncio.Event()
        self._lines: dict[Any, int] = {}  # tasks, by whose line they are
        self._server: asyncio.Server

    async def serve(self) -> None:
        """Begin to listen."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._server = await asyncio.start_unix_server(self._take, str(self.path))

    def close(self) -> None:
        """Listen no more."""
        self._server.close()

    async def hurt(self, pid: int, how: str) -> None:
        """Harm the lines of a process from now on."""
        self.harm[pid] = how
        if how == "cut":
            for line, owner in list(self._lines.items()):
                if owner == pid:
                    line.cancel()

    async def heal(self) -> None:
        """Pass on everything again, also what was kept back."""
        self.harm.clear()
        self._changed.set()
        self._changed = asyncio.Event()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task, pid = asyncio.current_task(), peer(writer.get_extra_info("socket"))
        self._lines[task] = pid
        with suppress(OSError, asyncio.CancelledError):
            if self.harm.get(pid) != "cut":
                await self._join(reader, writer, pid)
        del self._lines[task]
        writer.close()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pid: int) -> None:
        there, here = await asyncio.open_unix_connection(str(self._target))
        ways = [asyncio.ensure_future(way) for way in (self._pump(reader, here, pid), self._pump(there, writer, pid))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            here.close()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pid: int) -> None:
        while data := await reader.read(CHUNK):
            while self.harm.get(pid) == "silent":
                await self._changed.wait()
            if self.harm.get(pid) == "slow":
                await asyncio.sleep(SLOW)
            writer.write(data)
            await writer.drain()


class Relays:
    """Relays in a thread of their own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._relays: list[Relay] = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def make(self, path: Path, target: Path) -> Relay:
        """Return a relay that listens."""
        relay = Relay(path, target)
        self.run(relay.serve())
        self._relays.append(relay)
        return relay

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something done, and wait for it."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result(WITHIN)

    def close(self) -> None:
        """End all lines."""
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        for relay in self._relays:
            relay.close()
        rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


def peer(sock: socket.socket) -> int:
    """Return the process id at the other end of a unix socket."""
    pid, _, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(pid)
