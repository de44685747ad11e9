#!lua flags=allow-oom
-- Extends a worker's leases.
-- KEYS  1 queue
-- ARGV  1 lease, ms  2 lease prefix, then id, token for each
-- Answers the ids whose lease is lost: run out, cancelled, or another worker's by now.
--@include codec.lua

local now, lost = clock(), {}
for i = 3, #ARGV, 2 do
  local id, key = ARGV[i], ARGV[2] .. ARGV[i]
  local lease = redis.call('GET', key)
  if lease and string.sub(lease, 1, 32) == ARGV[i + 1] then
    redis.call('PEXPIRE', key, ARGV[1])
    redis.call('ZADD', KEYS[1], 'XX', string.format('%d', RUNNING + now + ARGV[1]), id)
  else
    lost[#lost + 1] = id
  end
end
return lost
