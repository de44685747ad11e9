#!lua
-- Appends new outcomes of running jobs, for each job only if its lease is still valid, and publishes the counts.
-- KEYS  lease, progress for each job
-- ARGV  1 lifetime, ms  2 events channel, then for each job
--       id, token, number of outcomes already stored, inputs with an output, inputs that failed,
--       number of outcomes that follow, each outcome
-- Returns the ids whose progress has an unexpected length: it was deleted, and all outcomes must be sent again.
-- Refused when memory is full (no allow-oom flag), because the record will contain all outcomes. Sending the same
-- arguments again, because the answer was lost, appends nothing twice.
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
    if type(length) ~= 'number' then length = -1 end   -- another program's data, deleted when the job ends
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
