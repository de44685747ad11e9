#!lua flags=no-writes
-- Counts each model's jobs, and tells for how long the oldest waits.
-- KEYS  queue, bytes for each model
-- ARGV  1 payload prefix  2 ms that a lease has left at most when its worker is late to renew it
-- Answers waiting, deferred, running, bytes, ms that the oldest has waited, or 0, and how many of the running ones
-- have such a lease, for each, in order
--@include codec.lua

local NEXT = 64                              -- jobs next in line among which the oldest is looked for: priorities
                                             -- and jobs that came back go before older ones
local now, answer = clock(), {}

local function oldest(queue)                 -- a payload ends with its creation time (wire.Payload)
  local first = redis.call('ZRANGEBYSCORE', queue, '-inf', now, 'WITHSCORES', 'LIMIT', 0, NEXT)
  local since = now
  for i = 1, #first, 2 do
    local tail = peek('GETRANGE', ARGV[1] .. first[i], -9, -1) or ''
    local due = tonumber(first[i + 1])
    local created = #tail == 9 and string.sub(tail, 1, 1) == '\207' and struct.unpack('>I8', string.sub(tail, 2)) or due
    since = math.min(since, created >= due and created <= now and created or due)
  end
  return now - since
end

for i = 1, #KEYS, 2 do
  local waiting = redis.call('ZCOUNT', KEYS[i], '-inf', now)
  local running = redis.call('ZCOUNT', KEYS[i], RUNNING, '+inf')
  local n = #answer
  answer[n + 1], answer[n + 2] = waiting, redis.call('ZCARD', KEYS[i]) - waiting - running
  answer[n + 3], answer[n + 4] = running, counter(KEYS[i + 1])
  answer[n + 5] = oldest(KEYS[i])
  answer[n + 6] = redis.call('ZCOUNT', KEYS[i], RUNNING, string.format('%d', RUNNING + now + ARGV[2]))
end
return answer
