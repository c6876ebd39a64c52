"""What breaks: one function for each kind of fault, which breaks it and returns what mends it, if anything has to."""

import os
import random
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import psycopg
import redis

from tests.chaos.field import Field
from tests.chaos.plan import Fault
from tests.chaos.relay import Relay
from tests.clients.native import Client

__all__ = ["FAULTS", "strike"]

T = TypeVar("T")
Mend = Callable[[], None]
Strike = Callable[[Field, Fault, Sequence[Client]], Mend | None]
ACTIVE = """SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'chat%' AND backend_type = 'client backend'
ORDER BY state <> 'active', application_name <> 'chat writer', pid"""
END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'chat writer'"


def strike(fault: Fault, field: Field, devices: Sequence[Client]) -> Mend:
    """Break something; return what mends it. What is broken already stays as it is, and what is away is not asked."""
    field.story.tell(f"!! {fault.kind} for {fault.lasting} s")
    mend = _attempt(field, fault, lambda: FAULTS[fault.kind](field, fault, devices))
    return lambda: mend and _attempt(field, fault, mend)


def _attempt(field: Field, fault: Fault, act: Callable[[], Any]) -> Any:
    try:
        return act()
    except (redis.RedisError, psycopg.Error) as error:
        field.story.tell(f"   {fault.kind}: not now, {error!r}")
        return None


def chosen(fault: Fault, among: Sequence[T]) -> T:
    """Return the victim."""
    return among[fault.pick % len(among)]


# Web servers.


def _signal_worker(field: Field, fault: Fault, sig: int) -> None:
    workers = field.workers()
    if workers:
        with suppress(ProcessLookupError):
            os.kill(chosen(fault, workers)[1], sig)


def kill_worker(field: Field, fault: Fault, devices: Sequence[Client]) -> None:
    """One is gone at once; gunicorn starts another."""
    _signal_worker(field, fault, signal.SIGKILL)


def end_worker(field: Field, fault: Fault, devices: Sequence[Client]) -> None:
    """One drains and ends; gunicorn starts another."""
    _signal_worker(field, fault, signal.SIGTERM)


def freeze_worker(field: Field, fault: Fault, devices: Sequence[Client]) -> Mend | None:
    """One stands still with whatever it holds."""
    workers = field.workers()
    return field.freeze(chosen(fault, workers)[1]) if workers else None


def _stop_web(field: Field, fault: Fault, sig: int) -> Mend:
    field.thaw(set(field.frozen))  # what is frozen cannot drain
    web = chosen(fault, field.webs)
    web.stop(sig)

    def start() -> None:
        if web.process is None:
            web.launch()

    return start


def kill_web(field: Field, fault: Fault, devices: Sequence[Client]) -> Mend:
    """A web server is gone with all its workers."""
    return _stop_web(field, fault, signal.SIGKILL)


def restart_web(field: Field, fault: Fault, devices: Sequence[Client]) -> Mend:
    """A web server drains, ends, and is started again."""
    return _stop_web(field, fault, signal.SIGTERM)


# Redis.


def _start_redis(field: Field) -> None:
    if not field.redis.running:
        field.redis.start()


def kill_redis(field: Field, fault: Fault, devices: Sequence[Client]) -> Mend:
    """It is gone; later it comes back with its last snapshot, if there is one."""
    field.redis.kill()
    return lambda: _start_redis(field)


def restart_redis(field: Field, fault: Fault, devices: Sequence[Client]) -> Mend:
    """It ends politely with a snapshot of everything."""
    field.thaw({field.redis.pid})
    field.redis.stop()
    return lambda: _start_redis(field)


def set_redis_back(field: Field, fault: Fault, devices: Sequence[Client]) -> Mend:
    """What it says after the snapshot of now is forgotten later."""
    with field.keys() as keys:
        keys.save()

    def set_back() -> None:
        field.redis.kill()
        _start_redis(field)

    return set_back


def empty_redis(field: Field, fault: Fault, devices: Sequence[Client]) -> Mend:
    """It is gone and comes back with nothing."""
    field.redis.kill()
    for snapshot in field.redis.data.glob("*.rdb"):
        snapshot.unlink()
    return lambda: _start_redis(field)


def freeze_redis(field: Field, fault: Fault, devices: Sequence[Client]) -> Mend | None:
    """It hangs."""
    return field.freeze(field.redis.pid) if field.redis.running else None


def flush_redis(field: Field, fault: Fault, devices: Sequence[Client]) -> None:
    """It forgets everything."""
    with field.keys() as keys:
        keys.flushall()


def _evict(field: Field, fault: Fault, pattern: str) -> None:
    with field.keys() as keys:
        found = sorted(keys.scan_iter(pattern, count=1_000))
        for key in random.Random(fault.pick).sample(found, (len(found) + 1) // 2):
            keys.delete(key)


def evict_logs(field: Field, fault: Fault, devices: Sequence[Client]) -> None:
    """It forgets half of what belongs to logs."""
    _evict(field, fault, "log:*")


def evict_keys(field: Field, fault: Fault, devices: Sequence[Client]) -> None:
    """It forgets half of everything."""
    _evict(field, fault, "*")


def end_subscriptions(field: Field, fault: Fault, devices: Sequence[Client]) -> None:
    """Nobody hears the others for a moment."""
    with field.keys() as keys:
        keys.client_kill_filter(_type="pubsub")


def _pause(field: Field, fault: Fault, everything: bool) -> None:
    # For exactly as long: the longest of several pauses holds for the strictest, and nobody can end that one.
    with field.keys() as keys:
        keys.client_pause(int(fault.lasting * 1_000), all=everything)


def pause_redis(field: Field, fault: Fault, devices: Sequence[Client]) -> None:
    """It answers nobody."""
    _pause(field, fault, everything=True)


def pause_writes(field: Field, fault: Fault, devices: Sequence[Client]) -> None:
    """It answers nobody who writes."""
    _pause(field, fault, everything=False)


# PostgreSQL.


def _start_postgres(field: Field) -> None:
    if not field.postgres.running:
        field.postgres.start()


def kill_postgres(field: Field, fault: Fault, devices: Sequence[Client]) -> Mend:
    """It is gone in the middle of everything."""
    field.postgres.kill()
    return lambda: _start_postgres(field)


def restart_postgres(field: Field, fault: Fault, devices: Sequence[Client]) -> Mend:
    """It ends politely."""
    field.thaw(set(field.frozen))
    field.postgres.stop()
    return lambda: _start_postgres(field)


def _backends(field: Field) -> list[int]:
    with field.admin() as admin:
        return [pid for (pid,) in admin.execute(ACTIVE)]


def kill_backend(field: Field, fault: Fault, devices: Sequence[Client]) -> None:
    """One backend, at work if there is any, crashes, and with it all: PostgreSQL recovers."""
    found = _backends(field)
    if found:
        with suppress(ProcessLookupError):
            os.kill(found[0], signal.SIGKILL)


def end_writer(field: Field, fault: Fault, devices: Sequence[Client]) -> None:
    """The writers' connections end, in the middle of a COMMIT if there is one."""
    with field.admin() as admin:
        admin.execute(END)


def freeze_backend(field: Field, fault: Fault, devices: Sequence[Client]) -> Mend | None:
    """One backend, at work if there is any, stands still with its locks."""
    found = _backends(field)
    return field.freeze(found[0]) if found else None


# What lies between.


def cut_devices(field: Field, fault: Fault, devices: Sequence[Client]) -> None:
    """Some clients lose their connections without a word."""
    for device in random.Random(fault.pick).sample(list(devices), (len(devices) + 1) // 2):
        device.cut()


def _harm(field: Field, fault: Fault, relays: list[Relay], how: str) -> Mend | None:
    workers = field.workers()
    if not workers:
        return None
    web, pid = chosen(fault, workers)
    field.hurt(relays[web], pid, how)
    return lambda: field.mend(relays[web])


def _between(store: str, how: str) -> Strike:
    def harm(field: Field, fault: Fault, devices: Sequence[Client]) -> Mend | None:
        return _harm(field, fault, field.to_redis if store == "redis" else field.to_postgres, how)

    return harm


def kill_celery(field: Field, fault: Fault, devices: Sequence[Client]) -> Mend:
    """Celery's worker or beat is gone."""
    child = chosen(fault, field.celery)
    child.kill()

    def start() -> None:
        if not child.running:
            child.start()

    return start


FAULTS: dict[str, Strike] = {
    "kill a worker": kill_worker,
    "end a worker": end_worker,
    "freeze a worker": freeze_worker,
    "kill a web server": kill_web,
    "restart a web server": restart_web,
    "kill Redis": kill_redis,
    "restart Redis": restart_redis,
    "set Redis back": set_redis_back,
    "empty Redis": empty_redis,
    "freeze Redis": freeze_redis,
    "flush Redis": flush_redis,
    "evict logs": evict_logs,
    "evict keys": evict_keys,
    "end subscriptions": end_subscriptions,
    "pause Redis": pause_redis,
    "pause writes to Redis": pause_writes,
    "kill PostgreSQL": kill_postgres,
    "restart PostgreSQL": restart_postgres,
    "kill a backend": kill_backend,
    "end a writer": end_writer,
    "freeze a backend": freeze_backend,
    "cut devices": cut_devices,
    "cut a worker from Redis": _between("redis", "cut"),
    "slow a worker's Redis": _between("redis", "slow"),
    "silence a worker's Redis": _between("redis", "silent"),
    "cut a worker from PostgreSQL": _between("postgres", "cut"),
    "slow a worker's PostgreSQL": _between("postgres", "slow"),
    "silence a worker's PostgreSQL": _between("postgres", "silent"),
    "kill Celery": kill_celery,
}
