#!lua flags=no-writes
-- Counts each model's jobs and returns how long the oldest has waited.
-- Returns for each model, in order: waiting, deferred, running, bytes, ms that the oldest has waited, or 0, and the
-- number of running jobs whose renewal is late, inputs
--@key watched
--@include clock.lua
--@include values.lua
--@include counter.lua
--@arg payloads  prefixes
--@arg queue_prefix
--@arg bytes_prefix
--@arg inputs_prefix
--@arg late  remaining ms of a lease at or below which its renewal is late
--@each model

local NEXT = 64                              -- the oldest is searched among so many of the next jobs: jobs of higher
                                             -- priority and returned jobs precede older ones
local answer = {}

local function oldest(queue)                 -- the last bytes of a payload are its creation time (wire.Payload)
  local first = redis.call('ZRANGEBYSCORE', queue, '-inf', now, 'WITHSCORES', 'LIMIT', 0, NEXT)
  local since = now
  for _, entry in ipairs(redis.call('ZRANGEBYSCORE', queue, PARKED, '+inf', 'WITHSCORES', 'LIMIT', 0, NEXT)) do
    first[#first + 1] = entry
  end
  for i = 1, #first, 2 do
    local tail = peek('GETRANGE', ARGV.payloads .. first[i], -9, -1) or ''
    local due = tonumber(first[i + 1])
    if due >= PARKED then due = due - PARKED end
    local created = #tail == 9 and string.sub(tail, 1, 1) == '\207' and struct.unpack('>I8', string.sub(tail, 2)) or due
    since = math.min(since, created >= due and created <= now and created or due)
  end
  return now - since
end

for at = EACH.first, #ARGV, EACH.size do
  local queue = ARGV.queue_prefix .. EACH.model
  local parked = redis.call('ZCOUNT', queue, PARKED, '+inf')
  local waiting = redis.call('ZCOUNT', queue, '-inf', now) + parked
  local running = redis.call('ZCOUNT', queue, RUNNING, '+inf') - parked
  local n = #answer
  answer[n + 1], answer[n + 2] = waiting, redis.call('ZCARD', queue) - waiting - running
  answer[n + 3] = running
  answer[n + 4], answer[n + 7] = counters(ARGV.bytes_prefix .. EACH.model, ARGV.inputs_prefix .. EACH.model)
  answer[n + 5] = oldest(queue)
  answer[n + 6] = redis.call('ZCOUNT', queue, RUNNING, string.format('%d', RUNNING + now + ARGV.late))
end
return answer
