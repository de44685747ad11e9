#!lua flags=no-writes
-- Reads a job's state atomically, without its inputs.
-- KEYS  1 payload  2 result  3 lease  4 attempts  5 progress, then the queue of each model
-- ARGV  1 id  2 most bytes of a record that is returned with its results
-- Returns the same as record_at if the job is terminal; otherwise {number of inputs, creation or false, lease or false,
-- attempts, index of its queue from 0, position among the waiting from 1 or 0, head of its progress or false}; {1} if
-- it is a job of another model; {} if there is no such job.
--@include record.lua

local record = record_at(KEYS[2], tonumber(ARGV[2]))
if record then return record end             -- before the include, which a terminal job does not need
--@include payload.lua

local fault
for i = 6, #KEYS do
  local score = redis.pcall('ZSCORE', KEYS[i], ARGV[1])
  if type(score) == 'string' then
    local inputs, created = outline(KEYS[1])
    if not inputs then return {} end
    local place = tonumber(score) < 1e15 and redis.call('ZRANK', KEYS[i], ARGV[1]) + 1 or 0
    local done = inputs > 1 and redis.pcall('LINDEX', KEYS[5], 0)
    if type(done) ~= 'string' then done = false end
    local lease = peek('GET', KEYS[3])
    if lease and not whole(string.sub(lease, 33), nil) then lease = nil end   -- another program's data
    return {inputs, created or false, lease or false, whole(peek('GET', KEYS[4]), 0), i - 6, place, done}
  end
  fault = score or fault                     -- that queue holds another program's data; the job may have been in it
end
if redis.call('EXISTS', KEYS[1]) == 0 then return {} end
return fault or {1}                          -- in no queue of these models
