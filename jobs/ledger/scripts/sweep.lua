#!lua flags=allow-oom
-- Requeues jobs whose lease ended, expires overdue jobs, and ends jobs that a stock client aborted.
-- KEYS  1 queue  2 deadlines  3 bytes  4 abort  5 doorbell  6 swept
-- ARGV  1 most jobs of each kind  2 result lifetime, ms  3 events channel  4 payload prefix  5 result prefix
--       6 lease prefix  7 attempts prefix  8 progress prefix  9 head of an expired record
--       10 head of a cancelled record  11 time without a sweep after which leases are extended, ms  12 extension, ms
-- Returns {requeued, expired, aborted}
--@include codec.lua
--@include terminate.lua

local now, events, answer = clock(), {}, {0, 0, 0}

local function ended(id)                     -- a stock client's abort may requeue a job that had just ended
  if not is_record(ARGV[5] .. id) then return false end
  redis.call('ZREM', KEYS[1], id)
  redis.call('ZREM', KEYS[2], id)
  redis.call('DECRBY', KEYS[3], forget(ARGV[4] .. id, ARGV[2]))   -- 0, unless the record is another program's data
  return true
end

local function stop(id, state, head)
  local keys = {job = ARGV[4] .. id, result = ARGV[5] .. id, lease = ARGV[6] .. id, attempts = ARGV[7] .. id,
                progress = ARGV[8] .. id, queue = KEYS[1], deadlines = KEYS[2], bytes = KEYS[3], abort = KEYS[4]}
  events[#events + 1] = event(id, state, terminate(id, keys, state, head, ARGV[2], now))
end

-- No process has swept for a while: Redis was stopped or unreachable, and live workers could not renew their leases.
-- Extend the leases once. An extended lease has a score with half a ms, which only a renewal removes.
if redis.call('EXISTS', KEYS[6]) == 0 then
  local grace = string.format('%d.5', RUNNING + now + ARGV[12])
  local short = redis.call('ZRANGEBYSCORE', KEYS[1], RUNNING, grace, 'WITHSCORES')
  for i = 1, #short, 2 do
    if short[i + 1] % 1 == 0 then redis.call('ZADD', KEYS[1], grace, short[i]) end
  end
end
redis.call('SET', KEYS[6], '1', 'PX', ARGV[11])

local lapsed = redis.call('ZRANGEBYSCORE', KEYS[1], RUNNING, string.format('%d', RUNNING + now), 'WITHSCORES', 'LIMIT', 0, ARGV[1])
for i = 1, #lapsed, 2 do                     -- to the head of the queue: they have waited longest
  local id = lapsed[i]
  if not ended(id) then
    redis.call('ZADD', KEYS[1], string.format('%d', lapsed[i + 1] - RUNNING - 86400000), id)
    redis.call('DEL', ARGV[6] .. id)
    if whole(peek('GET', ARGV[7] .. id), 0) == 0 then      -- never started, so its deadline is restored
      redis.call('SET', ARGV[7] .. id, '0', 'EX', 86400)         -- shows the next worker that a worker was lost with it
      local k, created = extras_at(ARGV[4] .. id)
      local within = whole(math.ceil((tonumber(k.expires_in) or -1) * 1000), nil)
      if created and within then redis.call('ZADD', KEYS[2], string.format('%d', created + within), id) end
    end
    events[#events + 1] = event(id, 'queued')
    answer[1] = answer[1] + 1
  end
end
if answer[1] > 0 then ring(KEYS[5], answer[1]) end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  if not ended(id) then
    stop(id, 'expired', ARGV[9])
    answer[2] = answer[2] + 1
  end
end

for _, id in ipairs(redis.call('ZRANGE', KEYS[4], 0, ARGV[1] - 1)) do
  if ended(id) then
    redis.call('ZREM', KEYS[4], id)
  elseif redis.call('ZSCORE', KEYS[1], id) then
    stop(id, 'cancelled', ARGV[10])
    answer[3] = answer[3] + 1
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now - 60000)   -- arq does not remove them

publish(ARGV[3], events)
return answer
