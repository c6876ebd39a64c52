"""Every setting: its unit, its default and the reason for it, read from the environment and checked at start.

`load()` merges, in this order: the defaults below, the environment, a mapping given by the caller (tests).
Nothing else in the project reads the environment, but for the launcher, which sets it for its children.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from chat.storage_address import storage_address

__all__ = ["SETTINGS", "ConfigError", "Setting", "load"]


class ConfigError(Exception):
    """A setting is missing or has no meaning; the text says which and what it must be."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: `read` turns the environment's text into the value and raises ValueError for nonsense."""

    name: str
    read: Callable[[str], Any]
    default: Any
    reason: str


def _flag(text: str) -> bool:
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
        "": False,
    }
    return words[text.strip().lower()]


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _text(text: str) -> str:
    return text.strip()


S = Setting
SETTINGS: tuple[Setting, ...] = (
    # The place of things.
    S(
        "ENVIRONMENT",
        _text,
        "production",
        "`development` also lets pages of localhost and private networks in (CORS_ORIGINS)",
    ),
    S("DATABASE_URL", _text, "", "PostgreSQL 15 or newer, `postgresql+psycopg://…`; the embedded start sets it"),
    S("REDIS_URL", _text, "", "Redis 6.2 or newer; the embedded start sets it"),
    S("REDIS_PREFIX", _text, "", "put before every key, channel and task queue, where others use the same Redis"),
    S("CELERY_BROKER_URL", _text, "", "Redis or RabbitMQ; empty: REDIS_URL"),
    S("DATA_DIR", _text, "", "folder of uploads (unless STORAGE_URL) and of what the embedded servers keep"),
    S(
        "STORAGE_URL",
        _text,
        "",
        "S3 bucket of uploads, `s3://KEY:SECRET@HOST[:PORT]/BUCKET[/PREFIX]?region=us-east-1&tls=on&style=path`, what "
        "is behind `?` as by default (`tls=off`: http; `style=virtual`: BUCKET.HOST); empty: a folder in DATA_DIR",
    ),
    S(
        "STORAGE_PUBLIC_URL",
        _text,
        "",
        "origin at which browsers reach the storage if they know it by another name, as `https://media.example.org`; "
        "`none`: they do not reach it, and this server hands every file on; empty: by the name in STORAGE_URL",
    ),
    S("AWS_ACCESS_KEY_ID", _text, "", "the key, if STORAGE_URL has none; one that expires is of no use"),
    S("AWS_SECRET_ACCESS_KEY", _text, "", "the secret, if STORAGE_URL has none"),
    # Who may come in.
    S(
        "JWT_SECRET",
        _text,
        "",
        "HS256 key of access tokens, at least 32 bytes; the embedded start makes and keeps one; required otherwise",
    ),
    S("JWT_PUBLIC_KEY", _text, "", "PEM key of a host application whose tokens (RS256, ES256, EdDSA) are taken too"),
    S("JWT_JWKS_URL", _text, "", "key set of a host application; keys are kept 10 minutes"),
    S("JWT_ISSUER", _text, "", "`iss` that a host application's token must have; empty: not looked at"),
    S(
        "JWT_AUDIENCE",
        _text,
        "",
        "`aud` that it must be meant for; empty: not looked at, so its tokens for others get in too",
    ),
    S("JWT_USER_CLAIM", _text, "", "claim that names the user; empty: sub, else userId, else id"),
    S(
        "JWT_AUTO_CREATE",
        _flag,
        False,
        "a host application's unknown user becomes a user at first sight; off: its token is refused",
    ),
    S("JWT_LEEWAY", int, 10, "seconds by which clocks of two hosts may differ"),
    S(
        "REGISTRATION",
        _flag,
        True,
        "anybody may register; off: only users of a host application or of the command line",
    ),
    S(
        "ACCESS_MINUTES",
        int,
        60,
        "minutes an access token lives: a leaked one is soon worthless, a refresh an hour costs nothing",
    ),
    S("REFRESH_DAYS", int, 90, "days without use after which a login must be made anew"),
    S("TOKEN_DAYS", int, 30, "days a token without refresh lives (frontends that know no refresh)"),
    S(
        "TOKEN_IN_QUERY",
        _flag,
        False,
        "take `?token=`: URLs end up in logs, so only for frontends that know no other way",
    ),
    S("TICKET_SECONDS", int, 30, "seconds a WebSocket ticket can be used, once: long enough for a slow handshake"),
    S("CORS_ORIGINS", _names, (), "origins (patterns with *) whose pages may call; the own origin always may"),
    S(
        "TRUSTED_PROXIES",
        int,
        0,
        "number of proxies in front whose X-Forwarded-* headers are believed; 0: none, for they can be forged",
    ),
    S("LOGIN_PER_NAME", int, 10, "tries to log in a minute and name: slows guessing, leaves room for typing errors"),
    S(
        "LOGIN_PER_ADDRESS",
        int,
        30,
        "tries to log in or register a minute and address: an office behind one address still gets in",
    ),
    # How much of anything.
    S("CONTENT_CHARACTERS", int, 5_000, "characters of a message: three printed pages"),
    S("METADATA_BYTES", int, 4_096, "bytes of a message's metadata, encoded: a card or a few ids, no document"),
    S(
        "FRAME_BYTES",
        int,
        65_536,
        "bytes of a WebSocket frame or JSON body: content at 4 bytes a character, metadata and room",
    ),
    S("GROUP_MEMBERS", int, 5_000, "members of a group: one change of members reads the list of them in a few ms"),
    S("LOG_ENTRIES", int, 200, "events kept for resuming, per conversation: more than a phone misses in a tunnel"),
    S("LOG_BYTES", int, 131_072, "bytes of the same: 10,000 busy conversations stay near 1 GB"),
    S("LOG_SECONDS", int, 900, "seconds of the same; after that a client is caught up from the database"),
    S("OUTBOX_BYTES", int, 262_144, "bytes that wait for one slow client before it is cut off: some 500 messages"),
    S("OUTBOX_TOTAL_BYTES", int, 268_435_456, "the same for all clients of a process; the longest goes first"),
    S("POLL_BYTES", int, 262_144, "bytes of one poll answer; the rest comes with the next poll"),
    S("POLLS_PER_LOGIN", int, 4, "polls of one login at a time: a page and its reloads"),
    S("SESSIONS_PER_USER", int, 20, "sessions of one user at a time: every device and tab of a busy person"),
    S("WAITING_PER_ADDRESS", int, 20, "sockets of one address that have not said who they are"),
    S("AUTH_SECONDS", int, 10, "seconds a socket may take to say who it is"),
    S("POLL_SECONDS", int, 25, "seconds a poll is held: below the 30 s at which common proxies cut an idle request"),
    S("PING_SECONDS", int, 25, "seconds between pings of a quiet WebSocket: the same proxies"),
    S("IDLE_HOURS", int, 24, "hours without a command after which a session ends; 0: never"),
    S("WRITER_QUEUE", int, 2_000, "messages waiting to be committed before `overloaded`: a tenth of a second of work"),
    S("WRITER_QUEUE_BYTES", int, 8_388_608, "bytes of the same"),
    S("WRITER_BATCH", int, 300, "messages of one commit: more gains nothing and delays the first"),
    S("WRITER_BATCH_BYTES", int, 1_048_576, "bytes of the same"),
    S(
        "MESSAGE_RATE",
        float,
        20.0,
        "messages a second a user may send for long: no person types that, a bot gets along",
    ),
    S("MESSAGE_BURST", int, 100, "messages a user may send at once: the outbox of a phone that comes back"),
    S("COMMAND_RATE", float, 50.0, "cost units a second of a connection's commands (a cheap verb costs 1)"),
    S("COMMAND_BURST", int, 200, "cost units a connection may spend at once: a page that loads"),
    S("PRESENCE_GRACE", int, 10, "seconds a lost client stays online: a tunnel or a reload is not a departure"),
    S("PRESENCE_WATCH", int, 200, "users a session may watch: a long member list on one screen"),
    S(
        "DATABASE_POOL",
        int,
        5,
        "database connections of a process for units of work, besides the 18 that have one statement each",
    ),
    # Push notifications.
    S(
        "PUSH_WEBHOOK_URL",
        _text,
        "",
        "https address told of messages to users without a session; empty: none is",
    ),
    S("PUSH_WEBHOOK_SECRET", _text, "", "key that signs what is sent there, at least 32 bytes"),
    # Uploads.
    S("UPLOAD_BYTES", int, 10_485_760, "bytes of an upload: a photo of any phone, a short video, a long paper"),
    S(
        "UPLOADS_AT_ONCE",
        int,
        4,
        "uploads of one user under way at a time, in each process: what a browser does at once",
    ),
    S("UPLOADS_PER_ADDRESS", int, 64, "the same of one address: an office, and half of all that a process takes"),
    S("DOWNLOADS_PER_ADDRESS", int, 128, "downloads of one address at a time, in each process; in all there are 512"),
    S(
        "UPLOAD_RATE",
        int,
        1_048_576,
        "bytes a second a user may upload for long, in each process, of an image a byte for 4 pixels; 0: no limit",
    ),
    S("UPLOAD_BURST", int, 104_857_600, "bytes a user may upload at once: the photos of an afternoon"),
    S(
        "UPLOAD_UNUSED_BYTES",
        int,
        209_715_200,
        "bytes of a user's uploads that no message uses yet: what one user can fill the disk with, unseen",
    ),
    S(
        "UPLOAD_UNUSED_HOURS",
        int,
        24,
        "hours after which an upload that no message uses is deleted: a draft over night",
    ),
    S(
        "IMAGE_PIXELS",
        int,
        50_000_000,
        "pixels of an image, a third for WebP and a twelfth for what moves: the largest of common phones; up to 12 "
        "bytes each while it is looked at, one large image at a time",
    ),
    S(
        "THUMBNAIL_PIXELS",
        int,
        16_000_000,
        "pixels above which Celery makes the thumbnail, and the server only checks the image, one such at a time",
    ),
    # History in Redis.
    S("HISTORY_HOT_HOURS", int, 24, "hours for which blocks of new entries stay as they are: what most readers open"),
    S("HISTORY_FREQUENT_DAYS", int, 7, "days until a block of entries is let go; in between it is compressed"),
    S("HISTORY_FREQUENT_PERCENT", int, 80, "percent of Redis's maxmemory above which compressed blocks are dropped"),
    S("HISTORY_HOT_PERCENT", int, 90, "percent of Redis's maxmemory above which other blocks are dropped, too"),
    S(
        "MEDIA_SECRET",
        _text,
        "",
        "key that signs addresses of media, at least 32 bytes; empty: derived from JWT_SECRET",
    ),
)


def load(given: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return every setting by name. Raises ConfigError naming the setting that is missing or makes no sense."""
    environ = os.environ if environ is None else environ
    values = {setting.name: _value(setting, environ) for setting in SETTINGS}
    values.update(given or {})
    _check(values)
    return values


def _value(setting: Setting, environ: Mapping[str, str]) -> Any:
    text = environ.get(setting.name)
    if text is None:
        return setting.default
    try:
        return setting.read(text)
    except (ValueError, KeyError) as error:
        raise ConfigError(f"{setting.name}={text!r} makes no sense: {setting.reason}") from error


def _check(values: Mapping[str, Any]) -> None:
    for name in ("DATABASE_URL", "REDIS_URL"):
        if not values[name]:
            raise ConfigError(
                f"{name} is not set. `python app.py` starts an embedded one; a server of your own needs the address."
            )
    if len(values["JWT_SECRET"].encode()) < 32:
        raise ConfigError("JWT_SECRET must be set to a secret of at least 32 bytes, e.g. `openssl rand -hex 32`.")
    if values["MEDIA_SECRET"] and len(values["MEDIA_SECRET"].encode()) < 32:
        raise ConfigError("MEDIA_SECRET, where it is set, must be a secret of at least 32 bytes.")
    _check_push(values["PUSH_WEBHOOK_URL"], values["PUSH_WEBHOOK_SECRET"])
    try:
        storage_address(values)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _check_push(url: str, secret: str) -> None:
    if not url:
        return
    parts = urlsplit(url)
    here = parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not (here or (parts.scheme == "https" and parts.hostname)):
        raise ConfigError("PUSH_WEBHOOK_URL must be an https address: what people write is sent there.")
    if len(secret.encode()) < 32:
        raise ConfigError("PUSH_WEBHOOK_SECRET must be a secret of at least 32 bytes, e.g. `openssl rand -hex 32`.")
