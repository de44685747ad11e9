#!lua flags=allow-oom
-- Extends a worker's leases. A lease that has ended is extended too while its token is unchanged, that is, until its
-- job is requeued.
-- KEYS  1 queue
-- ARGV  1 lease, ms  2 lease prefix  3 result prefix, then id, token for each job
-- Returns {ids whose lease was lost; another worker may have it}, {ids of jobs that ended, for example by a cancel}.
--@include codec.lua

local now, lost, over = clock(), {}, {}
for i = 4, #ARGV, 2 do
  local id, key = ARGV[i], ARGV[2] .. ARGV[i]
  local lease = peek('GET', key)
  if lease and string.sub(lease, 1, 32) == ARGV[i + 1] then
    redis.call('PEXPIRE', key, ARGV[1] + 3600000)
    redis.call('ZADD', KEYS[1], 'XX', string.format('%d', RUNNING + now + ARGV[1]), id)
  elseif redis.call('EXISTS', ARGV[3] .. id) == 1 then
    over[#over + 1] = id
  else
    lost[#lost + 1] = id
  end
end
return {lost, over}
