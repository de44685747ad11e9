#!lua flags=allow-oom
-- Ends the jobs of a batch, each only if its lease is still valid, and notifies the waiters with one message.
-- KEYS  1 queue  2 bytes  3 abort
-- ARGV  1 result lifetime, ms  2 most bytes of a record that is sent in the message  3 events channel
--       4 payload prefix  5 result prefix  6 lease prefix  7 attempts prefix  8 progress prefix,
--       then for each job id, token, state, record without the value of its last field, the finish time
-- Returns the ids that were refused. A batch that is sent again because the answer was lost is not refused.
--@include codec.lua
--@include terminate.lua

redis.call('ZCARD', KEYS[1])                 -- fails on another program's data before the script writes
counter(KEYS[2])
local aborting = redis.call('ZCARD', KEYS[3]) > 0

local now, refused, events, ended, gone, bytes = clock(), {}, {}, {}, {}, 0
for i = 9, #ARGV, 4 do
  local id, token, state, head = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local lease = peek('GET', ARGV[6] .. id)
  if lease and string.sub(lease, 1, 32) == token then
    local record = head .. uint(now)
    redis.call('SET', ARGV[5] .. id, record, 'PX', ARGV[1])
    bytes = bytes + forget(ARGV[4] .. id, ARGV[1])
    ended[#ended + 1] = id
    local n = #gone
    gone[n + 1], gone[n + 2], gone[n + 3] = ARGV[6] .. id, ARGV[7] .. id, ARGV[8] .. id
    events[#events + 1] = event(id, state, #record <= tonumber(ARGV[2]) and record or nil)
  else
    local result = peek('GET', ARGV[5] .. id)
    if not result or string.sub(result, 1, #head) ~= head then refused[#refused + 1] = id end
  end
end
if #ended > 0 then                           -- none has a deadline: the claim removed it
  many('ZREM', KEYS[1], ended)
  many('DEL', table.remove(gone), gone)
  if bytes > 0 then redis.call('DECRBY', KEYS[2], bytes) end
  if aborting then many('ZREM', KEYS[3], ended) end
end
publish(ARGV[3], events)
return refused
