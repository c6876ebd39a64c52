"""Who has no session anywhere, as presence in Redis says: chat/leases.lua writes it, and is who knows it best.

After a wipe of Redis nobody seems to be there until the web processes have said whom they hold. Till then nobody is
told to be absent: a push to somebody who reads along is worse than one that comes some seconds later.
"""

from collections.abc import Collection
from typing import Any

from chat.lease_notes import Lengths, milliseconds
from tasks import stores

__all__ = ["absent"]

# ARGV: prefix, lease of a process (ms), users … Answers those who are absent. The set of who is online may be evicted
# alone, for it expires; a session that counts says the same.
ABSENT = """
local call, prefix = redis.call, ARGV[1]
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local run = string.match(call('INFO', 'server'), 'run_id:(%w+)')
local boot = call('HMGET', prefix .. 'presence:boot', 'run', 'since')
if boot[1] ~= run or now - tonumber(boot[2]) < tonumber(ARGV[2]) then return {} end
local absent = {}
for place = 3, #ARGV do
    local user = ARGV[place]
    if call('SISMEMBER', prefix .. 'presence:online', user) == 0
        and call('ZCOUNT', prefix .. 'user:online:' .. user, now, '+inf') == 0 then
        absent[#absent + 1] = user
    end
end
return absent
"""


def absent(users: Collection[str]) -> set[str]:
    """Return those of these users (public ids, some 2,000 at most: 3 ms of Redis) who are known to be absent."""
    if not users:
        return set()
    lease = milliseconds(Lengths().process)
    found: Any = stores.redis().eval(ABSENT, 0, stores.settings()["REDIS_PREFIX"], lease, *users)
    return {user.decode() for user in found}
