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
--@include codec.lua
--@include conclude.lua
--@arg model
--@arg inputs  most inputs
--@arg size  most bytes
--@arg lease  ms
--@arg token
--@arg workers  that share the waiting jobs
--@arg before  only jobs with a score below this, or '+inf'
--@arg recent_jobs  most recent jobs
--@arg unreadable  what the record of a job with an invalid payload says: the last fields of its header, and its results
--@arg unreadable_results

local share = math.ceil(redis.call('ZCOUNT', KEYS.queue, '-inf', now) / ARGV.workers)
local latest = ARGV.before ~= '+inf' and tonumber(ARGV.before) <= now and '(' .. ARGV.before or now
local due = redis.call('ZRANGEBYSCORE', KEYS.queue, '-inf', latest, 'WITHSCORES', 'LIMIT', 0, math.min(ARGV.inputs, share))
local answer, leased, inputs, bytes = {now, 0, false, 0}, {}, 0, 0

local until_then = string.format('%d', RUNNING + now + ARGV.lease)
for i = 1, #due, 2 do
  local id = due[i]
  local job_key = ARGV.payloads .. id
  local left = redis.call('PTTL', job_key)   -- -1 for a waiting job, unless a stock client enqueued it
  if left ~= -1 and is_record(ARGV.results .. id) then   -- a stock client's abort requeued a job that had just ended
    redis.call('ZREM', KEYS.queue, id)
  elseif aborting and redis.call('ZSCORE', KEYS.abort, id) then
    -- the sweep ends it
  elseif left == -2 then                     -- a stock client's payload expired while its job waited
    terminate(id, ARGV.model, 'expired')
  elseif not peek('GETRANGE', job_key, 0, 0) then   -- the key holds another program's data
    terminate(id, ARGV.model, 'failed', ARGV.unreadable, ARGV.unreadable_results)
  else
    local payload = redis.call('GET', job_key)
    if left >= 0 then                        -- enqueued by a stock client: count and list it from now on
      redis.call('PERSIST', job_key)
      redis.call('INCRBY', KEYS.bytes, #payload)
      redis.call('ZADD', KEYS.recent, 'NX', now, id)
      redis.call('ZREMRANGEBYRANK', KEYS.recent, 0, -1 - ARGV.recent_jobs)
    end
    local envelope = extras(payload)
    redis.call('SET', ARGV.leases .. id, ARGV.token .. '0', 'PX', ARGV.lease + 3600000)
    if envelope.expires_in then redis.call('ZREM', KEYS.deadlines, id) end
    leased[#leased + 1], leased[#leased + 2] = until_then, id
    tell(id, 'running')
    local n = #answer
    answer[n + 1], answer[n + 2], answer[n + 3] = id, payload, due[i + 1]
    local attempts = peek('GET', ARGV.attempts .. id)
    answer[n + 4] = attempts and whole(attempts, 0) or false
    local count = whole(envelope.n, 1)
    local known = count > 1 and redis.pcall('LLEN', ARGV.progress .. id) or 0
    answer[n + 5] = type(known) == 'number' and math.max(0, known - 1) or 0
    inputs, bytes = inputs + count, bytes + #payload
    if inputs >= tonumber(ARGV.inputs) or bytes >= tonumber(ARGV.size) then break end
  end
end
many('ZADD', KEYS.queue, leased)
settle(KEYS.queue, KEYS.deadlines, KEYS.bytes)
answer[2], answer[4] = redis.call('ZCOUNT', KEYS.queue, '-inf', now), inputs
if answer[2] > 0 then answer[3] = redis.call('ZRANGEBYSCORE', KEYS.queue, '-inf', now, 'WITHSCORES', 'LIMIT', 0, 1)[2] end
return answer
