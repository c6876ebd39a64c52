"""One session's outgoing bytes, bounded: what the socket did not take yet. Pure; the carrier does the writing.

A chunk is one whole frame, so that a session can be cut off between frames and never inside one.
"""

__all__ = ["Outbox"]


class Outbox:
    """Chunks in order. `size` is in bytes. The first chunk may be the rest of a frame that was begun (`started`)."""

    __slots__ = ("chunks", "size", "started")

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.size = 0
        self.started = False

    def add(self, chunk: bytes) -> None:
        """Append one whole frame."""
        self.chunks.append(chunk)
        self.size += len(chunk)

    def peek(self, most: int) -> bytes:
        """Return up to about `most` bytes from the front (at least one chunk), without removing them."""
        if self.size <= most:
            return b"".join(self.chunks) if len(self.chunks) != 1 else self.chunks[0]
        total = count = 0
        for chunk in self.chunks:
            if count and total + len(chunk) > most:
                break
            total += len(chunk)
            count += 1
        return b"".join(self.chunks[:count])

    def sent(self, count: int) -> None:
        """Remove the first `count` bytes: the socket took them."""
        if count >= self.size:
            self.chunks.clear()
            self.size = 0
            self.started = False
            return
        self.size -= count
        whole = 0
        for chunk in self.chunks:
            if count < len(chunk):
                break
            count -= len(chunk)
            whole += 1
        del self.chunks[:whole]
        self.started = self.started and not whole
        if count:
            self.chunks[0] = self.chunks[0][count:]
            self.started = True

    def cut(self) -> int:
        """Drop everything but the rest of a frame that was begun. Returns the bytes dropped."""
        kept = self.chunks[:1] if self.started else []
        dropped = self.size - sum(map(len, kept))
        self.chunks = kept
        self.size -= dropped
        return dropped
