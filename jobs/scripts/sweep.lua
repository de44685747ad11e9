#!lua flags=allow-oom
-- Gives back jobs whose lease ran out, expires the overdue, and ends what a stock client aborted.
-- KEYS  1 queue  2 deadlines  3 bytes  4 abort  5 doorbell
-- ARGV  1 most of each at once  2 result lifetime, ms  3 events channel  4 payload prefix  5 result prefix
--       6 lease prefix  7 attempts prefix  8 head of an expired record  9 head of a cancelled record
-- Answers {given back, expired, aborted}
--@include codec.lua
--@include terminate.lua

local now, events, answer = clock(), {}, {0, 0, 0}

local function stop(id, state, head)
  local keys = {job = ARGV[4] .. id, result = ARGV[5] .. id, lease = ARGV[6] .. id, attempts = ARGV[7] .. id,
                queue = KEYS[1], deadlines = KEYS[2], bytes = KEYS[3], abort = KEYS[4]}
  events[#events + 1] = event(id, state, terminate(id, keys, state, head, ARGV[2], now))
end

local lapsed = redis.call('ZRANGEBYSCORE', KEYS[1], RUNNING, string.format('%d', RUNNING + now), 'WITHSCORES', 'LIMIT', 0, ARGV[1])
for i = 1, #lapsed, 2 do                     -- to the head of the queue, for they have waited longest
  local id = lapsed[i]
  redis.call('ZADD', KEYS[1], string.format('%d', lapsed[i + 1] - RUNNING - 86400000), id)
  redis.call('DEL', ARGV[6] .. id)
  local ok, job = pcall(cmsgpack.unpack, redis.call('GET', ARGV[4] .. id) or '')
  if ok and type(job) == 'table' and type(job.k) == 'table' and job.k.expires_in then
    redis.call('ZADD', KEYS[2], string.format('%d', job.et + job.k.expires_in * 1000), id)
  end
  events[#events + 1] = event(id, 'queued')
  answer[1] = answer[1] + 1
end
if answer[1] > 0 then
  redis.call('LPUSH', KEYS[5], '1')
  redis.call('PEXPIRE', KEYS[5], 60000)
end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  stop(id, 'expired', ARGV[8])
  answer[2] = answer[2] + 1
end

for _, id in ipairs(redis.call('ZRANGE', KEYS[4], 0, ARGV[1] - 1)) do
  if redis.call('ZSCORE', KEYS[1], id) then
    stop(id, 'cancelled', ARGV[9])
    answer[3] = answer[3] + 1
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now - 60000)   -- arq itself never does

publish(ARGV[3], events)
return answer
