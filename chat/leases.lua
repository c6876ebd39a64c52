-- Everything a web process has to say about its sessions, and its turn at the sweep, in one call.
--
-- ARGV: prefix, process, lease of a process, lease of a session, grace (ms), "1" if the process joins (says from the start
-- what it holds), number of users to sweep (0: none), a number that was used before, operations as JSON:
--   ["e", user, session, age]   entered, or heard again: `age` ms ago
--   ["n", user, session]        entered anew: takes the place of a session that was lost
--   ["h", user, session, age]   still held, after Redis lost what it knew
--   ["g", user, session, rest]  was lost or left shortly before that: counts `rest` ms more
--   ["l", user, session, age]   lost `age` ms ago: counts until its grace is over
--   ["c", user, session]        left for good
--   ["t", user, number]         this turn was told
--   ["s", user]                 say this user's state once more
--   ["x"]                       the process ends
-- Returns {0} if this process is not known, and nothing was done: it must join. Else {1, last number, 1 if there is more to
-- sweep, turns, unknown}; a turn is {user, online, number, last seen (microseconds), 1 if asked for by "s"}, to be told by
-- the caller; unknown, where users are swept, are those whose sessions were evicted: the caller says "e" of what it holds.
--
-- A session's score in user:online:{user} is the time until which it counts, grace included; a user is online while one
-- counts. A turn that is not reported as told within some seconds is given to somebody else: a process that is killed with
-- a turn in its hands leaves nobody online for ever. While a user's last turn is younger than a second further ones wait,
-- and only the state at the end is told. For one process lease after Redis was wiped, rolled back or away from everybody
-- nobody goes offline and what is written back is not told: until then not all have said what they hold.
local call = redis.call
local prefix, process = ARGV[1], ARGV[2]
local process_lease, lease, grace = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local joins, most, used = ARGV[6] == '1', tonumber(ARGV[7]), tonumber(ARGV[8])

local ONLINE = prefix .. 'presence:online'        -- set of the users who are
local REVIEW = prefix .. 'presence:review'        -- users, by when their last session may be over (ms)
local PROCESSES = prefix .. 'presence:processes'  -- processes, by the end of their lease (ms)
local SESSIONS = prefix .. 'presence:sessions:'   -- + process: its sessions and their users
local TURNS = prefix .. 'presence:turns'          -- users with a recent turn, by when to look at it again (microseconds)
local TOLD = prefix .. 'presence:told'            -- their state as handed out, and ":number" until it was reported as told
local SEEN = prefix .. 'presence:seen'            -- when they were last seen, where they went meanwhile (microseconds)
local NUMBER = prefix .. 'presence:number'        -- of the last turn
local BOOT = prefix .. 'presence:boot'            -- run id of this Redis, since when it is known, when it was last called,
                                                  -- how many were online then
local RECENT = prefix .. 'presence:recent'        -- the last turns handed out, by number: last seen, ':', user
local UNKNOWN = prefix .. 'presence:unknown'      -- users whose sessions were evicted, by when that was found (ms)
local ASKED = prefix .. 'presence:asked'          -- users asked for while not all was known: they are told after all
local TOLD_WITHIN = 3000000   -- microseconds for a turn to be told; then it is given to somebody else
local MERGED = 1000000        -- microseconds in which a user's further turns are merged
local REMEMBERED = 10000       -- turns, for those who could not hear: a minute in which everybody of a large site comes
local SPREAD = 5000           -- values of one call at a time: Lua takes some 8,000
local MOST_UNKNOWN = 1000     -- users that all processes are asked for within a lease: 20 kB for each of them
local KEPT = 604800           -- seconds after which Redis forgets all this when nobody calls any more

local time = call('TIME')
local now_us = time[1] * 1000000 + time[2]
local now = math.floor(now_us / 1000)

local run = string.match(call('INFO', 'server'), 'run_id:(%w+)')
local boot = call('HMGET', BOOT, 'run', 'since', 'heard', 'users')
local since = tonumber(boot[2]) or now

-- Any key may be evicted alone. These two hold the same users, and each is made anew from the other. Returns whether both
-- are lost.
local function rebuild()
    local online, review = call('EXISTS', ONLINE), call('EXISTS', REVIEW)
    if online > review then
        call('ZUNIONSTORE', REVIEW, 1, ONLINE, 'WEIGHTS', 0) -- due at once
    elseif review > online then
        local users = call('ZRANGE', REVIEW, 0, -1)
        for start = 1, #users, SPREAD do
            call('SADD', ONLINE, unpack(users, start, math.min(start + SPREAD - 1, #users)))
        end
    end
    return online + review == 0 and (tonumber(boot[4]) or 0) > 0
end

if boot[1] ~= run or now - (tonumber(boot[3]) or 0) > process_lease or rebuild() then
    since = now
    call('HSET', BOOT, 'run', run, 'since', now)
    for _, one in ipairs(call('ZRANGE', PROCESSES, 0, -1)) do
        call('ZADD', PROCESSES, now, one)
    end
end
local settled = now - since >= process_lease

local mine = SESSIONS .. process
if (tonumber(call('ZSCORE', PROCESSES, process) or 0)) <= now then
    if not joins then
        return {0}
    end
    call('DEL', mine)
end
call('ZADD', PROCESSES, now + process_lease, process)

local stored = tonumber(call('GET', NUMBER) or 0)
local number = math.max(stored, used)
local turns = {}

local function hand_out(user, online, seen, asked)
    number = math.max(now_us, number + 1)
    call('HSET', TOLD, user, string.format('%d:%.0f', online, number))
    call('ZADD', TURNS, now_us + TOLD_WITHIN, user)
    call('ZADD', RECENT, number, string.format('%.0f:%s', seen, user))
    turns[#turns + 1] = {user, online, number, seen, asked}
end

local function turn(user, online, seen)
    local due, told = tonumber(call('ZSCORE', TURNS, user) or 0), call('HGET', TOLD, user) or ''
    -- One told a second ago holds up no other, even if the sweep has not come by to forget it.
    if due == 0 or (due <= now_us and told == tostring(1 - online)) then
        call('HDEL', SEEN, user)
        return hand_out(user, online, seen, 0)
    end
    call('HSET', SEEN, user, seen)
    local unreported = string.match(told, ':(%d+)$')
    if unreported then
        call('ZADD', TURNS, 'XX', 'LT', unreported + MERGED, user)
    end
end

local function sessions_of(user)
    return prefix .. 'user:online:' .. user
end

local function last_of(user)
    return tonumber(call('ZREVRANGE', sessions_of(user), 0, 0, 'WITHSCORES')[2] or 0)
end

local function beat(user, session, age)
    call('SET', prefix .. 'user:heartbeat:' .. session, user, 'PX', math.max(1, lease - age))
end

-- Have a user count until then of whom it is not known any more which sessions count.
local function stand_in(user, score)
    call('ZADD', sessions_of(user), score, '')
    call('PEXPIRE', sessions_of(user), 2 * (lease + grace))
    call('ZADD', REVIEW, score, user)
end

-- It was evicted which sessions of a user count. Every process is asked; those that hold none have said so by their lease's
-- end. Beyond so many users they count until every session that is still there was heard again.
local function ask_for(user)
    local asked = call('ZCARD', UNKNOWN) < MOST_UNKNOWN
    if asked then
        call('ZADD', UNKNOWN, now, user)
    end
    stand_in(user, now + (asked and process_lease or lease) + grace)
end

-- Have a session count until then. Returns 1 if that brings its user online.
local function count_until(user, session, score)
    local key = sessions_of(user)
    if call('EXISTS', key) == 0 and call('SISMEMBER', ONLINE, user) == 1 then
        ask_for(user)
    end
    call('ZADD', key, score, session)
    local comes = call('SADD', ONLINE, user)
    if comes == 1 then
        call('PEXPIRE', key, 2 * (lease + grace))
        call('ZADD', REVIEW, score, user)
    end
    return comes
end

local function hold(user, session, age)
    beat(user, session, age)
    call('HSET', mine, session, user)
    return count_until(user, session, now + lease + grace - age)
end

local function go(user, seen)
    call('DEL', sessions_of(user))
    call('ZREM', REVIEW, user)
    if call('SREM', ONLINE, user) == 1 then
        turn(user, 0, seen)
    end
end

local function forget(session)
    call('DEL', prefix .. 'user:heartbeat:' .. session)
    call('HDEL', mine, session)
end

local act = {}

function act.e(user, session, age)
    local score = now + lease + grace - age
    beat(user, session, age)
    -- Any key that expires may be evicted alone, and a user has to come and go by what is left of the others.
    if call('ZADD', sessions_of(user), 'XX', 'CH', score, session) == 1 and call('SISMEMBER', ONLINE, user) == 1 then
        call('ZADD', REVIEW, 'NX', score, user)
    elseif hold(user, session, age) == 1 then
        turn(user, 1, now_us)
    end
end

function act.n(user, session)
    if hold(user, session, 0) == 1 then
        return turn(user, 1, now_us)
    end
    local lost = call('ZRANGEBYSCORE', sessions_of(user), '-inf', now + grace, 'LIMIT', 0, 1)[1]
    if lost then
        call('ZREM', sessions_of(user), lost)
    end
end

function act.h(user, session, age)
    if hold(user, session, age) == 1 and (settled or call('SREM', ASKED, user) == 1) then
        turn(user, 1, now_us)
    end
end

function act.g(user, session, rest)
    if not settled or call('SISMEMBER', ONLINE, user) == 1 then
        count_until(user, session, now + rest)
    end
end

function act.l(user, session, age)
    forget(session)
    call('ZADD', sessions_of(user), 'XX', now + grace - age, session)
    call('ZADD', REVIEW, 'XX', last_of(user), user)
end

function act.c(user, session)
    forget(session)
    local known = call('ZREM', sessions_of(user), session)
    local last = last_of(user)
    if last > now then
        call('ZADD', REVIEW, 'XX', last, user)
    elseif not settled then
        stand_in(user, now + grace)
    elseif known == 1 then
        go(user, now_us)
    elseif call('SISMEMBER', ONLINE, user) == 1 then
        ask_for(user)
    end
end

function act.t(user, told)
    local state = string.match(call('HGET', TOLD, user) or '', string.format('^(%%d):%.0f$', told))
    if state then
        call('HSET', TOLD, user, state)
        call('ZADD', TURNS, math.max(now_us, told + MERGED), user)
    end
end

function act.s(user)
    local online = call('SISMEMBER', ONLINE, user)
    if settled or online == 1 then
        return hand_out(user, online, now_us, 1)
    end
    call('HDEL', TOLD, user) -- the sweep finds somebody of whom nothing was told
    call('ZADD', TURNS, (since + process_lease) * 1000, user)
end

function act.x()
    call('ZREM', PROCESSES, process)
    call('DEL', mine)
end

for _, one in ipairs(cjson.decode(ARGV[9])) do
    act[one[1]](one[2], one[3], one[4])
end

local more = 0

-- The sessions of a process whose lease is over are lost, all at once.
local function sweep_processes()
    local ended = call('ZRANGEBYSCORE', PROCESSES, '-inf', now, 'LIMIT', 0, 1)[1]
    if not ended then
        return
    end
    more = 1
    local held = call('HRANDFIELD', SESSIONS .. ended, most, 'WITHVALUES')
    for i = 1, #held, 2 do
        local session, user = held[i], held[i + 1]
        call('DEL', prefix .. 'user:heartbeat:' .. session)
        call('HDEL', SESSIONS .. ended, session)
        call('ZADD', sessions_of(user), 'XX', 'LT', now + grace, session)
        call('ZADD', REVIEW, 'XX', last_of(user), user)
    end
    if #held == 0 then
        call('ZREM', PROCESSES, ended)
    end
end

local function sweep_users()
    local due = call('ZRANGEBYSCORE', REVIEW, '-inf', now, 'LIMIT', 0, most)
    for _, user in ipairs(due) do
        local last = last_of(user)
        if last == 0 then
            ask_for(user)
        elseif last > now then
            call('ZADD', REVIEW, last, user)
            call('ZREMRANGEBYSCORE', sessions_of(user), '-inf', now)
            call('PEXPIRE', sessions_of(user), 2 * (lease + grace))
        else
            go(user, (last - grace) * 1000)
        end
    end
    return #due
end

local function sweep_turns()
    local due = call('ZRANGEBYSCORE', TURNS, '-inf', now_us, 'LIMIT', 0, most)
    for _, user in ipairs(due) do
        local online = call('SISMEMBER', ONLINE, user)
        if call('HGET', TOLD, user) == tostring(online) then
            call('ZREM', TURNS, user)
            call('HDEL', TOLD, user)
        else
            hand_out(user, online, tonumber(call('HGET', SEEN, user) or now_us), 0)
        end
        call('HDEL', SEEN, user)
    end
    return #due
end

if settled and most > 0 then
    sweep_processes()
    if sweep_users() == most or sweep_turns() == most then
        more = 1
    end
end

local unknown = {}
if most > 0 then
    call('ZREMRANGEBYSCORE', UNKNOWN, '-inf', now - process_lease)
    unknown = call('ZRANGE', UNKNOWN, 0, -1)
end

if #turns > 0 then
    call('ZREMRANGEBYRANK', RECENT, 0, -REMEMBERED - 1)
end
call('HSET', BOOT, 'heard', now, 'users', call('SCARD', ONLINE))
for _, key in ipairs({ONLINE, REVIEW, PROCESSES, mine, TURNS, TOLD, SEEN, RECENT, UNKNOWN, BOOT}) do
    call('EXPIRE', key, KEPT)
end
if number > stored then
    call('SET', NUMBER, string.format('%.0f', number), 'EX', KEPT)
end
return {1, number, more, turns, unknown}
