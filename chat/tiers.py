"""The tiers of history in Redis: where its blocks are kept, for how long, and what gives way first.

`history:hot:{id}:{block}`: entries of the last 24 hours, as they are. `history:frequent:…`: blocks that were hot within
the last 7 days, compressed. `history:cold:…`: older ones, read on demand and kept for minutes. Hot and frequent blocks
stand in a sorted set by age, so that demoting finds the old ones without looking at the others; a key that fell out of
it expires all the same. The two sets do not expire: Redis evicts only what does, and a set that went would hide its
blocks from whoever has to choose what gives way. They forget what is older than a week, so they are bounded.

What is in a block is judged by its reader (chat/pages.py): here nothing has to be right but the tier. No event loop is
needed: the server reads and fills, Celery demotes.
"""

import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from redis import Redis, RedisError

from chat.blocks import Block

__all__ = ["COLD", "FREQUENT", "HOT", "LONGEST", "Tiers"]

HOT, FREQUENT, COLD = "hot", "frequent", "cold"
COLD_SECONDS = 600  # of a block that somebody scrolled back to: as long as they read there
LATE_SECONDS = 7_200  # that a hot block outlives its day, for a beat that was away
WEEK = 604_800  # seconds: no key of ours lives longer
LONGEST = 262_144  # bytes of a block, as in pages.sql; longer ones cost more to move than they save
LEVEL = 1  # of zlib: 23 kB of prose to 8 in 0.1 ms, and back in 0.04; level 6 saves a tenth more for four times that
BATCH = 200  # blocks of one step: some 6 MB through this process
STEPS = 25  # of a run: 5,000 blocks, some seconds; the next run goes on
SECOND_US = 1_000_000


class Tiers:
    """The blocks in Redis. `trusted`: whether Redis may be asked, for one that is away answers late.

    `found` counts the blocks that were looked for by where they were.
    """

    def __init__(self, redis: Redis, config: Mapping[str, Any], trusted: Callable[[], bool] = lambda: True):
        self._redis = redis
        self._prefix = config["REDIS_PREFIX"] + "history:"
        self._hot_seconds = config["HISTORY_HOT_HOURS"] * 3_600
        self._frequent_seconds = config["HISTORY_FREQUENT_DAYS"] * 86_400
        self._shares = {FREQUENT: config["HISTORY_FREQUENT_PERCENT"], HOT: config["HISTORY_HOT_PERCENT"]}
        self.trusted = trusted
        self.found: Counter[str] = Counter()

    def find(self, number: int, blocks: Iterable[int]) -> dict[int, Block]:
        """Return those of a conversation's blocks that are kept, the newest there is of each."""
        asked = [(block, tier) for block in blocks for tier in (HOT, COLD, FREQUENT)]
        if not asked or not self.trusted():
            return {}
        try:
            values: Any = self._redis.mget([self._key(tier, number, block) for block, tier in asked])
        except RedisError:
            return {}
        kept: dict[int, Block] = {}
        for (block, tier), text in zip(asked, values, strict=True):
            one = _read(tier, text)
            if one is not None and (block not in kept or kept[block].change < one.change):
                self.found[tier] += block not in kept
                kept[block] = one
        self.found["none"] += len(asked) // 3 - len(kept)
        return kept

    def keep(self, number: int, blocks: Mapping[int, Block | None]) -> None:
        """Keep blocks that were just read, each in the tier of its age; None: it has become too long, let go of it.

        Raises RedisError.
        """
        now = time.time()
        pipeline = self._redis.pipeline(transaction=False)
        for place, block in blocks.items():
            text = b"" if block is None else block.encoded()
            if block is None or len(text) > LONGEST:
                pipeline.delete(*(self._key(tier, number, place) for tier in (HOT, COLD, FREQUENT)))
                continue
            age = now - block.at_us / SECOND_US
            if age >= self._hot_seconds:
                pipeline.set(self._key(COLD, number, place), text, ex=COLD_SECONDS)
            else:
                life = min(int(self._hot_seconds - age) + LATE_SECONDS, WEEK)
                pipeline.set(self._key(HOT, number, place), text, ex=life)
                self._note(pipeline, HOT, f"{number}:{place}", block.at_us / SECOND_US)
        if pipeline.command_stack:
            pipeline.zremrangebyscore(self._index(HOT), "-inf", now - WEEK)  # nobody demotes without Celery's beat
            pipeline.execute()

    def demote(self, now: float) -> int:
        """Compress blocks that are hot no more, and let go of frequent ones that are too old.

        Returns how many gave way. Done twice it changes nothing, at the same time by two neither; raises RedisError.
        """
        count = 0
        for _ in range(STEPS):
            old: Any = self._redis.zrange(
                self._index(HOT), "-inf", now - self._hot_seconds, byscore=True, offset=0, num=BATCH, withscores=True
            )
            if not old:
                break
            self._make_frequent([(name.decode(), at) for name, at in old], now)
            count += len(old)
        # Their keys have expired by themselves.
        too_old = now - self._frequent_seconds
        return count + int(self._redis.zremrangebyscore(self._index(FREQUENT), "-inf", too_old))

    def relieve(self) -> int:
        """Drop blocks while Redis is near its memory's limit, frequent ones before hot. Returns how many.

        Raises RedisError.
        """
        count = self._drop(FREQUENT)
        # While there are frequent ones left, which a run's bound may have saved, no hot one goes.
        return count if self._redis.zcard(self._index(FREQUENT)) else count + self._drop(HOT)

    def _drop(self, tier: str) -> int:
        count = 0
        for _ in range(STEPS):
            dropped = self._drop_oldest(tier) if self._filled() > self._shares[tier] else 0
            count += dropped
            if not dropped:
                break
        return count

    def _drop_oldest(self, tier: str) -> int:
        popped: Any = self._redis.zpopmin(self._index(tier), BATCH)
        names = [f"{self._prefix}{tier}:{name.decode()}" for name, _ in popped]
        if names:
            self._redis.delete(*names)
        return len(names)

    def _filled(self) -> float:
        """Return how much of the memory that Redis may use is used, in percent; 0 where it may use all."""
        memory: Any = self._redis.info("memory")
        return 100 * memory["used_memory"] / memory["maxmemory"] if memory["maxmemory"] else 0.0

    def _make_frequent(self, old: list[tuple[str, float]], now: float) -> None:
        texts: Any = self._redis.mget([f"{self._prefix}{HOT}:{name}" for name, _ in old])
        pipeline = self._redis.pipeline(transaction=False)
        for (name, at), text in zip(old, texts, strict=True):
            life = int(min(at + self._frequent_seconds - now, WEEK))
            if text is not None and life > 0:
                pipeline.set(f"{self._prefix}{FREQUENT}:{name}", zlib.compress(text, LEVEL), ex=life)
                self._note(pipeline, FREQUENT, name, at)
            pipeline.delete(f"{self._prefix}{HOT}:{name}")
            pipeline.zrem(self._index(HOT), name)
        pipeline.execute()

    def _note(self, pipeline: Any, tier: str, name: str, at: float) -> None:
        pipeline.zadd(self._index(tier), {name: at})
        pipeline.persist(self._index(tier))  # earlier versions let it expire

    def _key(self, tier: str, number: int, block: int) -> str:
        return f"{self._prefix}{tier}:{number}:{block}"

    def _index(self, tier: str) -> str:
        return f"{self._prefix}{tier}"


def _read(tier: str, text: bytes | None) -> Block | None:
    if text is None:
        return None
    try:
        return Block.read(zlib.decompress(text) if tier == FREQUENT else text)
    except zlib.error:
        return None
