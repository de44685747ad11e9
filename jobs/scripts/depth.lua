#!lua flags=no-writes
-- Counts each model's jobs.
-- KEYS  queue, bytes for each model
-- Answers waiting, deferred, running, bytes for each, in order
--@include codec.lua

local now, answer = clock(), {}
for i = 1, #KEYS, 2 do
  local waiting = redis.call('ZCOUNT', KEYS[i], '-inf', now)
  local running = redis.call('ZCOUNT', KEYS[i], RUNNING, '+inf')
  local n = #answer
  answer[n + 1], answer[n + 2] = waiting, redis.call('ZCARD', KEYS[i]) - waiting - running
  answer[n + 3], answer[n + 4] = running, tonumber(redis.call('GET', KEYS[i + 1]) or 0)
end
return answer
