#!lua flags=allow-oom
-- Leases the most urgent waiting jobs to a worker: up to a number of jobs, or bytes, or its share of what waits.
-- KEYS  1 queue  2 deadlines  3 bytes  4 recent  5 abort
-- ARGV  1 most jobs  2 most bytes  3 lease, ms  4 token  5 most recent jobs  6 events channel  7 result lifetime, ms
--       8 head of an expired record  9 payload prefix  10 result prefix  11 lease prefix  12 attempts prefix
--       13 workers among which the waiting jobs are shared
--       (the ids are not known before the script runs, so their keys are built from the prefixes)
-- Answers {now, jobs left waiting, id, payload, score, attempt, id, ...}
--@include codec.lua
--@include terminate.lua

local now = clock()
local share = math.ceil(redis.call('ZCOUNT', KEYS[1], '-inf', now) / ARGV[13])
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'WITHSCORES', 'LIMIT', 0, math.min(ARGV[1], share))
local answer, events, bytes = {now, 0}, {}, 0
for i = 1, #due, 2 do
  local id = due[i]
  local payload = redis.call('GET', ARGV[9] .. id)
  if not payload then                        -- a stock client's payload ran out while its job waited
    local keys = {job = ARGV[9] .. id, result = ARGV[10] .. id, lease = ARGV[11] .. id, attempts = ARGV[12] .. id,
                  queue = KEYS[1], deadlines = KEYS[2], bytes = KEYS[3], abort = KEYS[5]}
    events[#events + 1] = event(id, 'expired', terminate(id, keys, 'expired', ARGV[8], ARGV[7], now))
  else
    if redis.call('PERSIST', ARGV[9] .. id) == 1 then    -- a stock client's: count it and list it from now on
      redis.call('INCRBY', KEYS[3], #payload)
      redis.call('ZADD', KEYS[4], 'NX', now, id)
      redis.call('ZREMRANGEBYRANK', KEYS[4], 0, -1 - ARGV[5])
    end
    redis.call('SET', ARGV[11] .. id, ARGV[4] .. string.format('%d', now), 'PX', ARGV[3])
    redis.call('ZADD', KEYS[1], string.format('%d', RUNNING + now + ARGV[3]), id)
    redis.call('ZREM', KEYS[2], id)
    local attempt = redis.call('INCR', ARGV[12] .. id)
    redis.call('EXPIRE', ARGV[12] .. id, 86400)
    events[#events + 1] = event(id, 'running')
    local n = #answer
    answer[n + 1], answer[n + 2], answer[n + 3], answer[n + 4] = id, payload, due[i + 1], attempt
    bytes = bytes + #payload
    if bytes >= tonumber(ARGV[2]) then break end
  end
end
publish(ARGV[6], events)
answer[2] = redis.call('ZCOUNT', KEYS[1], '-inf', now)
return answer
