#!lua flags=allow-oom
-- Gives back jobs that were claimed and have no result: their place is as before, and so is the deadline of those
-- that were not started.
-- KEYS  1 queue  2 deadlines  3 doorbell
-- ARGV  1 events channel  2 lease prefix, then id, token, score, latest start in Unix ms or 0, for each
-- Answers how many were given back.
--@include codec.lua

local events = {}
for i = 3, #ARGV, 4 do
  local id, token = ARGV[i], ARGV[i + 1]
  local lease = redis.call('GET', ARGV[2] .. id)
  if lease and string.sub(lease, 1, 32) == token then
    redis.call('ZADD', KEYS[1], 'XX', ARGV[i + 2], id)
    if ARGV[i + 3] ~= '0' then redis.call('ZADD', KEYS[2], ARGV[i + 3], id) end
    redis.call('DEL', ARGV[2] .. id)
    events[#events + 1] = event(id, 'queued')
  end
end
if #events > 0 then ring(KEYS[3]) end
publish(ARGV[1], events)
return #events
