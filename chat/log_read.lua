-- Read what stands in logs after a number, in one step with the counter it is compared to.
--
-- ARGV: prefix, number, most entries in all, then the logs' names.
-- Answers {epoch or '', last number given out, {log, ...}}; a log is {} when it is not there, else
-- {number before its first entry, its last change, {{n-0, {p, .., h, header, d, data}}, ...}}.
local prefix, after, left = ARGV[1], ARGV[2], tonumber(ARGV[3])
local logs = {}
for place = 4, #ARGV do
    local key = prefix .. ARGV[place]
    local first = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
    if not first then
        logs[#logs + 1] = {}
    else
        local found = {}
        if left > 0 then
            found = redis.call('XRANGE', key, '(' .. after .. '-0', '+', 'COUNT', left)
            left = left - #found
        end
        local state = redis.call('GET', key .. ':last')
        local change = state and struct.unpack('<d', state) or 0
        logs[#logs + 1] = {first[2][2], change, found}
    end
end
return {redis.call('GET', prefix .. 'event:epoch') or '', tonumber(redis.call('GET', prefix .. 'event:n') or 0), logs}
