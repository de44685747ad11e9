#!lua
-- Appends what is known by now of running jobs, each job's only if its lease still holds, and publishes the counts.
-- KEYS  lease, progress for each job
-- ARGV  1 lifetime, ms  2 events channel, then for each job
--       id, token, outcomes that are there already, inputs with an output and inputs that failed by now,
--       number of outcomes that follow, each outcome
-- Answers the ids whose progress is not as long as said: it was deleted, and all outcomes are to be sent again.
-- Refused when memory is full (no allow-oom flag): the record will have it all. Sent again because its answer was
-- lost, it appends nothing twice.
--@include codec.lua

local events, deleted, at = {}, {}, 3
for i = 1, #KEYS, 2 do
  local id, token, before = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local succeeded, failed, count = ARGV[at + 3], ARGV[at + 4], tonumber(ARGV[at + 5])
  local first, key = at + 6, KEYS[i + 1]
  at = first + count
  local lease = redis.pcall('GET', KEYS[i])
  if type(lease) == 'string' and string.sub(lease, 1, 32) == token then
    local length = redis.pcall('LLEN', key)
    if type(length) ~= 'number' then length = -1 end   -- another program's data, which goes when the job ends
    if length == 0 and before == 0 then length = redis.call('RPUSH', key, '') end
    if length == before + 1 then
      for from = first, at - 1, 4000 do
        redis.call('RPUSH', key, unpack(ARGV, from, math.min(from + 3999, at - 1)))
      end
      redis.call('LSET', key, 0, succeeded .. ' ' .. failed)
      redis.call('PEXPIRE', key, ARGV[1])
      events[#events + 1] = progressed(id, succeeded, failed)
    elseif length >= 0 and length ~= before + count + 1 then
      redis.call('DEL', key)
      deleted[#deleted + 1] = id
    end
  end
end
publish(ARGV[2], events)
return deleted
