#!lua flags=allow-oom
-- Cancels a waiting or running job. A running batch continues, but its result is refused.
-- KEYS  1 payload  2 result  3 lease  4 attempts  5 progress  6 abort, then queue, deadlines, bytes for each model
-- ARGV  1 id  2 result lifetime, ms  3 events channel  4 head of a cancelled record
--       5 most bytes of a record that is returned with its results
-- Returns the same as record_at; {} if there is no such job.
--@include codec.lua
--@include record.lua
--@include terminate.lua

local result = record_at(KEYS[2], tonumber(ARGV[5]))
if result then return result end
local fault
for i = 7, #KEYS, 3 do
  local score = redis.pcall('ZSCORE', KEYS[i], ARGV[1])
  if type(score) == 'string' then
    local keys = {job = KEYS[1], result = KEYS[2], lease = KEYS[3], attempts = KEYS[4], progress = KEYS[5],
                  abort = KEYS[6], queue = KEYS[i], deadlines = KEYS[i + 1], bytes = KEYS[i + 2]}
    local record = terminate(ARGV[1], keys, 'cancelled', ARGV[4], ARGV[2], clock())
    publish(ARGV[3], {event(ARGV[1], 'cancelled', record)})
    return {record}
  end
  fault = score or fault                     -- that queue holds another program's data; the job may have been in it
end
return redis.call('EXISTS', KEYS[1]) == 1 and fault or {}
