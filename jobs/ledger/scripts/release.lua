#!lua flags=allow-oom
-- Returns claimed jobs without a result to the queue. Restores their score, the deadline of jobs that were never
-- started, and the attempts of jobs whose start does not count.
-- KEYS  1 queue  2 deadlines  3 doorbell
-- ARGV  1 events channel  2 lease prefix  3 attempts prefix, then for each job id, token, score, latest start in Unix
--       ms or 0, attempts, or '' to keep them
-- Returns the number of jobs that were returned.
--@include codec.lua

local events = {}
for i = 4, #ARGV, 5 do
  local id, token = ARGV[i], ARGV[i + 1]
  local lease = peek('GET', ARGV[2] .. id)
  if lease and string.sub(lease, 1, 32) == token then
    redis.call('ZADD', KEYS[1], 'XX', ARGV[i + 2], id)
    if ARGV[i + 3] ~= '0' then redis.call('ZADD', KEYS[2], ARGV[i + 3], id) end
    redis.call('DEL', ARGV[2] .. id)
    local before = tonumber(ARGV[i + 4])
    if before and whole(peek('GET', ARGV[3] .. id), 0) > before then
      redis.call('SET', ARGV[3] .. id, before, 'EX', 86400)
    end
    events[#events + 1] = event(id, 'queued')
  end
end
if #events > 0 then ring(KEYS[3], #events) end
publish(ARGV[1], events)
return #events
