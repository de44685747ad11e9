#!lua flags=allow-oom
-- Leases the most urgent waiting jobs to a worker: up to a number of inputs or bytes, or the worker's share of the
-- waiting jobs, but at least one job. A claim charges no attempt; the start does (start.lua).
-- Returns {now, jobs left waiting, score of the most urgent of them or false, leased inputs, then for each leased job id,
-- payload, score, attempts so far or false, outcomes in its progress};
-- false means that no worker was lost while it held the job.
--@key queue
--@key deadlines
--@key bytes
--@key recent
--@include clock.lua
--@include codec.lua
--@include values.lua
--@include payload.lua
--@include many.lua
--@include strings.lua
--@include conclude.lua
--@include terminate.lua
--@arg model
--@arg inputs  most inputs
--@arg share  inputs after which only jobs with a score below `preferred` are taken
--@arg preferred
--@arg size  most bytes
--@arg lease  ms
--@arg token
--@arg workers  that share the waiting jobs
--@arg before  only jobs with a score below this, or '+inf'
--@arg recent_jobs  most recent jobs
--@arg unreadable  what the record of a job with an invalid payload says: the last fields of its header, and its results
--@arg unreadable_results

local waiting = redis.call('ZCOUNT', KEYS.queue, '-inf', now)
local most = math.min(ARGV.inputs, math.ceil(waiting / ARGV.workers))
local before = ARGV.before ~= '+inf' and tonumber(ARGV.before) <= now
local due = redis.call(                      -- and one more, whose score is returned
  'ZRANGEBYSCORE', KEYS.queue, '-inf', before and '(' .. ARGV.before or now, 'WITHSCORES', 'LIMIT', 0, most + 1)
local answer, leased, ids, inputs, bytes = {now, 0, false, 0}, {}, {}, 0, 0
local left, head, i = waiting, nil, 1

local until_then = string.format('%d', RUNNING + now + ARGV.lease)
local enough, full = tonumber(ARGV.inputs), tonumber(ARGV.size)
local share, preferred = tonumber(ARGV.share), tonumber(ARGV.preferred)
while i <= math.min(#due, 2 * most) and (#ids == 0 or inputs < enough and bytes < full)
  and (inputs < share or tonumber(due[i + 1]) < preferred) do
  local id, score, lifetime = due[i], due[i + 1], -1
  local job_key = ARGV.payloads .. id
  local payload = peek('GET', job_key)
  -- Payloads of stock clients have a lifetime. So have those of ended jobs, which only a stock client's abort requeues,
  -- with score 1.
  if not payload or not is_ours(payload) or score == '1' then lifetime = redis.call('PTTL', job_key) end
  left, i = left - 1, i + 2
  if lifetime ~= -1 and is_record(ARGV.results .. id) then
    redis.call('ZREM', KEYS.queue, id)
  elseif aborting and redis.call('ZSCORE', KEYS.abort, id) then   -- the sweep ends it
    left, head = left + 1, head or score
  elseif lifetime == -2 then                 -- a stock client's payload expired while its job waited
    terminate(id, ARGV.model, 'expired')
  elseif not payload then                    -- the key holds another program's data
    terminate(id, ARGV.model, 'failed', ARGV.unreadable, ARGV.unreadable_results)
  else
    if lifetime >= 0 then                    -- enqueued by a stock client: count and list it from now on
      redis.call('PERSIST', job_key)
      redis.call('INCRBY', KEYS.bytes, #payload)
      redis.call('ZADD', KEYS.recent, 'NX', now, id)
      redis.call('ZREMRANGEBYRANK', KEYS.recent, 0, -1 - ARGV.recent_jobs)
    end
    local envelope = extras(payload)
    redis.call('SET', ARGV.leases .. id, ARGV.token .. '0', 'PX', ARGV.lease + 3600000)
    if envelope.expires_in then redis.call('ZREM', KEYS.deadlines, id) end
    leased[#leased + 1], leased[#leased + 2], ids[#ids + 1] = until_then, id, id
    tell(id, 'running')
    local n, count = #answer, whole(envelope.n, 1)
    local known = count > 1 and redis.pcall('LLEN', ARGV.progress .. id) or 0
    answer[n + 1], answer[n + 2], answer[n + 3], answer[n + 4] = id, payload, score, false
    answer[n + 5] = type(known) == 'number' and math.max(0, known - 1) or 0
    inputs, bytes = inputs + count, bytes + #payload
  end
end
for at, attempts in ipairs(strings(ARGV.attempts, ids)) do
  answer[4 + 5 * at - 1] = attempts and whole(attempts, 0)
end
many('ZADD', KEYS.queue, leased)
settle(KEYS.queue, KEYS.deadlines, KEYS.bytes, ARGV.model)
answer[2], answer[4] = left, inputs
if left > 0 then
  answer[3] = head or due[i + 1] or redis.call('ZRANGEBYSCORE', KEYS.queue, '-inf', now, 'WITHSCORES', 'LIMIT', 0, 1)[2]
end
return answer
