-- Number a batch of committed events, keep them in their logs, and tell every process: one step, so that a number never
-- stands for an event that is in no log.
--
-- ARGV: prefix, process, batch, entries and bytes a log may hold, seconds it lives, then four values per event:
-- its log ('' for none), its change (0 for none), its header, its data.
-- Answers {number before the first event, epoch}; the epoch is '' when Redis was wiped, and nothing was done.
--
-- A log's entry n-0 holds p, the number of the entry before it: a reader that stands at p or later misses nothing that was
-- trimmed. <log>:last holds four doubles: change, n, first n of the younger half, bytes of that half.
local prefix, most, bytes, seconds = ARGV[1], ARGV[4], tonumber(ARGV[5]), ARGV[6]
local epoch = redis.call('GET', prefix .. 'event:epoch')
if not epoch then return {0, ''} end

local count = (#ARGV - 6) / 4
local before = redis.call('INCRBY', prefix .. 'event:n', count) - count
local lines = {string.format('1 %s %s %s %.0f %.0f', epoch, ARGV[2], ARGV[3], before, count)}
-- Where nobody listens but the publisher, who knows the events, the numbers are all there is to tell. Whether it does
-- Redis knows, and not the publisher: its subscription may have been lost a moment ago.
local listeners = redis.call('PUBSUB', 'NUMSUB', prefix .. 'events', prefix .. 'events:' .. ARGV[2])
local heard = listeners[2] > listeners[4]
local logs = {}

local function opened(name)
    local log = logs[name]
    if log then return log end
    log = {change = -1, last = -1, half = 0, size = 0}
    local state = redis.call('GET', prefix .. name .. ':last')
    if state then
        log.change, log.last, log.half, log.size = struct.unpack('<dddd', state)
    end
    logs[name] = log
    return log
end

for place = 7, #ARGV, 4 do
    local n = before + (place - 7) / 4 + 1
    local name, change, header, data = ARGV[place], tonumber(ARGV[place + 1]), ARGV[place + 2], ARGV[place + 3]
    if heard then
        lines[#lines + 1] = header
        lines[#lines + 1] = data
    end
    if name ~= '' then
        local log = opened(name)
        -- A change that comes late stands behind a hole that was already marked; readers before it ask the database.
        if change == 0 or change > log.change then
            local key = prefix .. name
            if log.last < 0 or (change > 0 and log.change > 0 and change > log.change + 1) then
                redis.call('DEL', key)
                -- Nothing stands before a first change. Before any other something may that was never told, so that
                -- only who was handed this very event is known to have it.
                log.last, log.half, log.size = change == 1 and 0 or n, n, 0
            end
            redis.call('XADD', key, 'MAXLEN', most, string.format('%.0f-0', n), 'p', string.format('%.0f', log.last), 'h', header, 'd', data)
            log.size = log.size + #data + #header
            if log.size > bytes / 2 then
                redis.call('XTRIM', key, 'MINID', string.format('%.0f-0', log.half))
                log.half, log.size = n, 0
            end
            log.last = n
            if change > 0 then log.change = change end
        end
    end
end

for name, log in pairs(logs) do
    redis.call('SETEX', prefix .. name .. ':last', seconds, struct.pack('<dddd', log.change, log.last, log.half, log.size))
    redis.call('EXPIRE', prefix .. name, seconds)
end
redis.call('PUBLISH', prefix .. 'events', table.concat(lines, '\n'))
return {before, epoch}
