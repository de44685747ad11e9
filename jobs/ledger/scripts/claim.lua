#!lua flags=allow-oom
-- Leases the most urgent waiting jobs to a worker: up to a number of inputs or bytes, or the worker's share of the
-- waiting jobs, but at least one job. A claim charges no attempt; the start does (start.lua).
--
-- If jobs of named owners wait, the owners take turns by start-time fair queueing (Goyal, Vin and Cheng 1996): the owner
-- with the lowest virtual start time is next, and its time grows by the work of its job, divided by its weight. The jobs of
-- one owner, and those of all anonymous ones, keep their order of urgency.
--
-- Returns {now, jobs left waiting, score of the most urgent of them or false, leased inputs, owners with jobs left, then
-- for each leased job id, payload, score, attempts so far or false, outcomes in its progress, owner};
-- false instead of attempts means that no worker was lost while it held the job. If some of the jobs have media beside
-- their payload, a last part has the id and the media's bytes of each.
--@key deadlines
--@key bytes
--@key queued_inputs
--@key recent
--@key outbox
--@include clock.lua
--@include codec.lua
--@include values.lua
--@include payload.lua
--@include many.lua
--@include strings.lua
--@include job_keys.lua
--@include notify.lua
--@arg model
--@arg inputs  most inputs
--@arg share  inputs after which only jobs with a score below `preferred` are taken
--@arg preferred
--@arg size  most bytes
--@arg lease  ms
--@arg token
--@arg workers  that share the waiting jobs
--@arg before  msgpack map: only jobs with a score below this are taken of these owners; '' if there are none
--@arg recent_jobs  most recent jobs
--@arg unreadable  what the record of a job with an invalid payload says: the last fields of its header, and its results
--@arg unreadable_results

local NOTHING = {}
local waiting = redis.call('ZCOUNT', KEYS.queue, '-inf', now)
local aborting = redis.call('ZCARD', KEYS.abort) > 0
redis.call('XLEN', KEYS.outbox)              -- `conclude` needs it: fails on another program's data, before a job is leased
local turns = redis.pcall('ZCARD', KEYS.turns)
local shared = type(turns) == 'number' and turns > 0    -- not if it holds another program's data
local left = waiting + (shared and redis.call('ZCOUNT', KEYS.queue, PARKED, '+inf') or 0)
local most = math.min(ARGV.inputs, math.ceil(left / ARGV.workers))
local before = ARGV.before == '' and NOTHING or cmsgpack.unpack(ARGV.before)
local answer, leased, ids, inputs, bytes = {now, 0, false, 0, NOTHING}, {}, {}, 0, 0
local with_media                             -- once a leased job has some
local settle_ended                           -- once a job was ended
local head                                   -- score of the most urgent job that stays, if known

local until_then = string.format('%d', RUNNING + now + ARGV.lease)
local enough, full = tonumber(ARGV.inputs), tonumber(ARGV.size)
local share, preferred = tonumber(ARGV.share), tonumber(ARGV.preferred)

local function lease(id, score, payload, envelope, owner)
  redis.call('SET', ARGV.leases .. id, ARGV.token .. '0', 'PX', ARGV.lease + 3600000)
  if envelope.expires_in then redis.call('ZREM', KEYS.deadlines, id) end
  leased[#leased + 1], leased[#leased + 2], ids[#ids + 1] = until_then, id, id
  tell(id, 'running')
  local n, count = #answer, whole(envelope.n, 1)
  local known = count > 1 and redis.pcall('LLEN', ARGV.progress .. id) or 0
  answer[n + 1], answer[n + 2], answer[n + 3], answer[n + 4] = id, payload, score, false
  answer[n + 5] = type(known) == 'number' and math.max(0, known - 1) or 0
  answer[n + 6] = owner
  bytes = bytes + #payload
  if envelope.media and is_ours(payload) then
    local beside = whole(envelope.media, 0)
    with_media = with_media or {}
    with_media[#with_media + 1], with_media[#with_media + 2] = id, beside
    bytes = bytes + beside
  end
  return count
end

local end_job                                -- the functions that end jobs exist once the first one is ended

local function finish_unrun(...)
  if not end_job then
--@include conclude.lua
--@include terminate.lua
    end_job, settle_ended = terminate, settle
  end
  end_job(...)
end

-- Takes a waiting job out of the queue: leases it, or ends it if it cannot be run. Returns the number of its inputs and its
-- envelope if it was leased, 'stays' if the sweep is to end it.
local function take(id, score, owner)
  local job_key, lifetime = ARGV.payloads .. id, -1
  local payload = peek('GET', job_key)
  -- Payloads of stock clients have a lifetime. So have those of ended jobs, which only a stock client's abort requeues,
  -- with score 1.
  if not payload or not is_ours(payload) or score == '1' then lifetime = redis.call('PTTL', job_key) end
  if lifetime ~= -1 and is_record(ARGV.results .. id) then
    redis.call('ZREM', KEYS.queue, id)
  elseif aborting and redis.call('ZSCORE', KEYS.abort, id) then   -- the sweep ends it
    return 'stays'
  elseif lifetime == -2 then                 -- a stock client's payload expired while its job waited
    finish_unrun(id, ARGV.model, 'expired')
  elseif not payload then                    -- the key holds another program's data
    finish_unrun(id, ARGV.model, 'failed', ARGV.unreadable, ARGV.unreadable_results)
  else
    if lifetime >= 0 then                    -- enqueued by a stock client: count and list it from now on
      redis.call('PERSIST', job_key)
      redis.call('INCRBY', KEYS.bytes, #payload)
      redis.call('INCRBY', KEYS.queued_inputs, whole(extras(payload).n, 1))
      redis.call('ZADD', KEYS.recent, 'NX', now, id)
      redis.call('ZREMRANGEBYRANK', KEYS.recent, 0, -1 - ARGV.recent_jobs)
    end
    local envelope = extras(payload)
    local before_it = bytes
    return lease(id, score, payload, envelope, owner), envelope, bytes - before_it
  end
end

local function claim_in_order()              -- of a queue without named owners
  local limit = before[''] and before[''] <= now and '(' .. string.format('%d', before['']) or now
  local due = redis.call(                    -- and one more, whose score is returned
    'ZRANGEBYSCORE', KEYS.queue, '-inf', limit, 'WITHSCORES', 'LIMIT', 0, most + 1)
  local i = 1
  while i <= math.min(#due, 2 * most) and (#ids == 0 or inputs < enough and bytes < full)
    and (inputs < share or tonumber(due[i + 1]) < preferred) do
    local taken = take(due[i], due[i + 1], '')
    if taken == 'stays' then head = head or due[i + 1] else left = left - 1 end
    if type(taken) == 'number' then inputs = inputs + taken end
    i = i + 2
  end
  head = head or due[i + 1]
end

if shared then
--@include lines.lua
--@include turns.lua
  claim_by_turns()
elseif most > 0 then
  claim_in_order()
end
for at, attempts in ipairs(strings(ARGV.attempts, ids)) do
  answer[5 + 6 * at - 2] = attempts and whole(attempts, 0)
end
many('ZADD', KEYS.queue, leased)
if settle_ended then settle_ended(KEYS.queue, KEYS.deadlines, KEYS.bytes, KEYS.queued_inputs, ARGV.model) end
publish()
answer[2], answer[4] = left, inputs
if left > 0 then
  answer[3] = head or redis.call('ZRANGEBYSCORE', KEYS.queue, '-inf', now, 'WITHSCORES', 'LIMIT', 0, 1)[2] or false
end
if with_media then answer[#answer + 1] = with_media end
return answer
