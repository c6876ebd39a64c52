-- Who of these users is online. ARGV: prefix, lease of a process (ms), users …
-- Returns {last number, number for who is not online, 1 or 0 for each user}. While not all processes have said what they
-- hold (after a wipe), "not online" is worth nothing: its number is 0, older than anything, and whoever was asked for is
-- told when they turn out to be online.
local call = redis.call
local prefix = ARGV[1]
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local run = string.match(call('INFO', 'server'), 'run_id:(%w+)')
local boot = call('HMGET', prefix .. 'presence:boot', 'run', 'since')
local lost = call('EXISTS', prefix .. 'presence:online') == 0 and call('EXISTS', prefix .. 'presence:review') == 1
local settled = boot[1] == run and now - tonumber(boot[2]) >= tonumber(ARGV[2]) and not lost
local number = tonumber(call('GET', prefix .. 'presence:number') or 0)

local users = {unpack(ARGV, 3)}
if #users == 0 then
    return {number, 0}
end
local answer = {number, settled and number or 0, unpack(call('SMISMEMBER', prefix .. 'presence:online', unpack(users)))}
for place, user in ipairs(users) do
    if not settled and answer[place + 2] == 0 then
        call('SADD', prefix .. 'presence:asked', user)
        call('EXPIRE', prefix .. 'presence:asked', 60)
    end
end
return answer
