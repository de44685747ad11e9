#!lua flags=allow-oom
-- Gives back jobs that were claimed and not started: their place, their attempt and their deadline are as before.
-- KEYS  1 queue  2 deadlines  3 doorbell
-- ARGV  1 events channel  2 lease prefix  3 attempts prefix, then id, token, score, latest start in Unix ms or 0, for each
-- Answers how many were given back.
--@include codec.lua

local events = {}
for i = 4, #ARGV, 4 do
  local id, token = ARGV[i], ARGV[i + 1]
  local lease = redis.call('GET', ARGV[2] .. id)
  if lease and string.sub(lease, 1, 32) == token then
    redis.call('ZADD', KEYS[1], 'XX', ARGV[i + 2], id)
    if ARGV[i + 3] ~= '0' then redis.call('ZADD', KEYS[2], ARGV[i + 3], id) end
    redis.call('DEL', ARGV[2] .. id)
    if redis.call('DECR', ARGV[3] .. id) <= 0 then redis.call('DEL', ARGV[3] .. id) end
    events[#events + 1] = event(id, 'queued')
  end
end
if #events > 0 then
  redis.call('LPUSH', KEYS[3], '1')
  redis.call('PEXPIRE', KEYS[3], 60000)
end
publish(ARGV[1], events)
return #events
