#!lua flags=allow-oom
-- Leases the most urgent waiting jobs to a worker: up to a number of inputs or bytes, or the worker's share of the
-- waiting jobs, but at least one job. A claim charges no attempt; the start does (start.lua).
-- KEYS  1 queue  2 deadlines  3 bytes  4 recent  5 abort
-- ARGV  1 most inputs  2 most bytes  3 lease, ms  4 token  5 most recent jobs  6 events channel  7 result lifetime, ms
--       8 head of an expired record  9 payload prefix  10 result prefix  11 lease prefix  12 attempts prefix
--       13 progress prefix  14 workers that share the waiting jobs
--       15 only jobs with a score below this, or '+inf'  16 head of a failed record, for a job with an invalid payload
--       (the ids are not known before the script runs, so their keys are built from the prefixes)
-- Returns {now, jobs left waiting, id, payload, score, attempts so far or false, outcomes in its progress, id, ...};
-- false means that no worker was lost while it held the job.
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
  local left = redis.call('PTTL', job_key)   -- -1 for a waiting job, unless a stock client enqueued it
  if left ~= -1 and is_record(ARGV[10] .. id) then   -- a stock client's abort requeued a job that had just ended
    redis.call('ZREM', KEYS[1], id)
  elseif aborting and redis.call('ZSCORE', KEYS[5], id) then
    -- the sweep ends it
  elseif left == -2 then                     -- a stock client's payload expired while its job waited
    stop(id, 'expired', ARGV[8])
  elseif not peek('GETRANGE', job_key, 0, 0) then   -- the key holds another program's data
    stop(id, 'failed', ARGV[16])
  else
    local payload = redis.call('GET', job_key)
    if left >= 0 then                        -- enqueued by a stock client: count and list it from now on
      redis.call('PERSIST', job_key)
      redis.call('INCRBY', KEYS[3], #payload)
      redis.call('ZADD', KEYS[4], 'NX', now, id)
      redis.call('ZREMRANGEBYRANK', KEYS[4], 0, -1 - ARGV[5])
    end
    local envelope = extras(payload)
    redis.call('SET', ARGV[11] .. id, ARGV[4] .. '0', 'PX', ARGV[3] + 3600000)
    if envelope.expires_in then redis.call('ZREM', KEYS[2], id) end
    leased[#leased + 1], leased[#leased + 2] = until_then, id
    events[#events + 1] = event(id, 'running')
    local n = #answer
    answer[n + 1], answer[n + 2], answer[n + 3] = id, payload, due[i + 1]
    local attempts = peek('GET', ARGV[12] .. id)
    answer[n + 4] = attempts and whole(attempts, 0) or false
    local count = whole(envelope.n, 1)
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
