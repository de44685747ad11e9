#!lua flags=no-writes
-- Reads a job as it is, at one instant.
-- KEYS  1 payload  2 result  3 lease  4 attempts, then the queue of each model
-- ARGV  1 id
-- Answers {record} when it is terminal; {payload, lease or false, attempts or false, index of its queue from 0,
-- place among the waiting from 1 or 0} when it is not; {} when there is no such job.

local result = redis.call('GET', KEYS[2])
if result then return {result} end
local payload = redis.call('GET', KEYS[1])
if not payload then return {} end
local fault
for i = 5, #KEYS do
  local score = redis.pcall('ZSCORE', KEYS[i], ARGV[1])
  if type(score) == 'string' then
    local place = tonumber(score) < 1e15 and redis.call('ZRANK', KEYS[i], ARGV[1]) + 1 or 0
    return {payload, redis.call('GET', KEYS[3]), redis.call('GET', KEYS[4]), i - 5, place}
  end
  fault = score or fault                     -- that queue holds another program's data: it may have been the job's
end
return fault or {}
