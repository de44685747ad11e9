#!lua flags=allow-oom
-- Extends a worker's leases. A lease that has ended is extended too while its token is unchanged, that is, until its
-- job is requeued.
-- Returns {ids whose lease was lost; another worker may have it}, {ids of jobs that ended, for example by a cancel}.
--@key queue
--@include clock.lua
--@include values.lua
--@arg lease  ms
--@arg leases  prefixes of the keys of jobs
--@arg results
--@each id token

local lost, over = {}, {}
for at = EACH.first, #ARGV, EACH.size do
  local id, key = EACH.id, ARGV.leases .. EACH.id
  local lease = peek('GET', key)
  if lease and string.sub(lease, 1, 32) == EACH.token then
    redis.call('PEXPIRE', key, ARGV.lease + 3600000)
    redis.call('ZADD', KEYS.queue, 'XX', string.format('%d', RUNNING + now + ARGV.lease), id)
  elseif redis.call('EXISTS', ARGV.results .. id) == 1 then
    over[#over + 1] = id
  else
    lost[#lost + 1] = id
  end
end
return {lost, over}
