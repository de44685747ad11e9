#!lua flags=no-writes
-- Counts each model's jobs and returns how long the oldest has waited.
-- KEYS  queue, bytes for each model
-- ARGV  1 payload prefix  2 remaining ms of a lease at or below which its renewal is late
-- Returns for each model, in order: waiting, deferred, running, bytes, ms that the oldest has waited, or 0, and the
-- number of running jobs whose renewal is late
--@include codec.lua

local NEXT = 64                              -- the oldest is searched among so many of the next jobs: jobs of higher
                                             -- priority and returned jobs precede older ones
local now, answer = clock(), {}

local function oldest(queue)                 -- the last bytes of a payload are its creation time (wire.Payload)
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
