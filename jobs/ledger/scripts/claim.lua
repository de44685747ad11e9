#!lua flags=allow-oom
-- Leases the most urgent waiting jobs to a worker: up to a number of inputs, or bytes, or its share of what waits,
-- but at least one job. What is charged as an attempt is not the claim but the start (start.lua).
-- KEYS  1 queue  2 deadlines  3 bytes  4 recent  5 abort
-- ARGV  1 most inputs  2 most bytes  3 lease, ms  4 token  5 most recent jobs  6 events channel  7 result lifetime, ms
--       8 head of an expired record  9 payload prefix  10 result prefix  11 lease prefix  12 attempts prefix
--       13 progress prefix  14 workers among which the waiting jobs are shared
--       15 only jobs with a score below this, or '+inf'  16 head of a failed record, of a job whose payload is none
--       (the ids are not known before the script runs, so their keys are built from the prefixes)
-- Answers {now, jobs left waiting, id, payload, score, attempts so far or false, outcomes in its progress, id, ...};
-- false is for a job that was never lost by a worker.
--@include codec.lua
--@include terminate.lua

local now = clock()
local share = math.ceil(redis.call('ZCOUNT', KEYS[1], '-inf', now) / ARGV[14])
local latest = ARGV[15] ~= '+inf' and tonumber(ARGV[15]) <= now and '(' .. ARGV[15] or now
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', latest, 'WITHSCORES', 'LIMIT', 0, math.min(ARGV[1], share))
local aborting = redis.call('ZCARD', KEYS[5]) > 0
local answer, events, leased, inputs, bytes = {now, 0}, {}, {}, 0, 0

local function stop(id, state, head)
  local keys = {job = ARGV[9] .. id, result = ARGV[10] .. id, lease = ARGV[11] .. id, attempts = ARGV[12] .. id,
                progress = ARGV[13] .. id, queue = KEYS[1], deadlines = KEYS[2], bytes = KEYS[3], abort = KEYS[5]}
  events[#events + 1] = event(id, state, terminate(id, keys, state, head, ARGV[7], now))
end

local until_then = string.format('%d', RUNNING + now + ARGV[3])
for i = 1, #due, 2 do
  local id = due[i]
  local job_key = ARGV[9] .. id
  local left = redis.call('PTTL', job_key)   -- -1 for a job that waits, unless a stock client enqueued it
  if left ~= -1 and is_record(ARGV[10] .. id) then   -- a stock client's abort put back what had just ended
    redis.call('ZREM', KEYS[1], id)
  elseif aborting and redis.call('ZSCORE', KEYS[5], id) then
    -- left to the sweep, which ends it
  elseif left == -2 then                     -- a stock client's payload ran out while its job waited
    stop(id, 'expired', ARGV[8])
  elseif not peek('GETRANGE', job_key, 0, 0) then   -- another program's data lies there
    stop(id, 'failed', ARGV[16])
  else
    local payload = redis.call('GET', job_key)
    if left >= 0 then                        -- a stock client's: count it and list it from now on
      redis.call('PERSIST', job_key)
      redis.call('INCRBY', KEYS[3], #payload)
      redis.call('ZADD', KEYS[4], 'NX', now, id)
      redis.call('ZREMRANGEBYRANK', KEYS[4], 0, -1 - ARGV[5])
    end
    local told = extras(payload)
    redis.call('SET', ARGV[11] .. id, ARGV[4] .. '0', 'PX', ARGV[3] + 3600000)
    if told.expires_in then redis.call('ZREM', KEYS[2], id) end
    leased[#leased + 1], leased[#leased + 2] = until_then, id
    events[#events + 1] = event(id, 'running')
    local n = #answer
    answer[n + 1], answer[n + 2], answer[n + 3] = id, payload, due[i + 1]
    local attempts = peek('GET', ARGV[12] .. id)
    answer[n + 4] = attempts and whole(attempts, 0) or false
    local count = whole(told.n, 1)
    local known = count > 1 and redis.pcall('LLEN', ARGV[13] .. id) or 0
    answer[n + 5] = type(known) == 'number' and math.max(0, known - 1) or 0
    inputs, bytes = inputs + count, bytes + #payload
    if inputs >= tonumber(ARGV[1]) or bytes >= tonumber(ARGV[2]) then break end
  end
end
many('ZADD', KEYS[1], leased)
publish(ARGV[6], events)
answer[2] = redis.call('ZCOUNT', KEYS[1], '-inf', now)
return answer
