#!lua flags=allow-oom
-- Requeues jobs whose lease ended, expires overdue jobs, and ends jobs that a stock client aborted.
-- Returns {requeued, expired, aborted}
--@key deadlines
--@key bytes
--@key queued_inputs
--@key doorbell
--@key swept
--@include clock.lua
--@include codec.lua
--@include values.lua
--@include payload.lua
--@include outline.lua
--@include many.lua
--@include ring.lua
--@include lines.lua
--@include conclude.lua
--@include terminate.lua
--@arg model
--@arg most_jobs  of each kind
--@arg unswept  time without a sweep after which leases are extended, ms
--@arg extension  ms

local OWNERS, CHECKED = 128, 64              -- owners whose lines are counted; parked jobs that a sweep looks for
local answer = {0, 0, 0}

local function has_ended(id)                 -- a stock client's abort may requeue a job that had just ended
  if not is_record(ARGV.results .. id) then return false end
  redis.call('ZREM', KEYS.queue, id)
  redis.call('ZREM', KEYS.deadlines, id)
  local payload = ARGV.payloads .. id          -- it is gone already, unless the record is another program's data
  forget(id, outline(payload) or 1, nil, nil, whole(terms_at(payload).media, nil))
  leaving[#leaving + 1] = id
  return true
end

-- No process has swept for a while: Redis was stopped or unreachable, and live workers could not renew their leases.
-- Extend the leases once. An extended lease has a score with half a ms, which only a renewal removes.
if redis.call('EXISTS', KEYS.swept) == 0 then
  local grace = string.format('%d.5', RUNNING + now + ARGV.extension)
  local short = redis.call('ZRANGEBYSCORE', KEYS.queue, RUNNING, grace, 'WITHSCORES')
  for i = 1, #short, 2 do
    if short[i + 1] % 1 == 0 then redis.call('ZADD', KEYS.queue, grace, short[i]) end
  end
end
redis.call('SET', KEYS.swept, '1', 'PX', ARGV.unswept)

local lapsed = redis.call('ZRANGEBYSCORE', KEYS.queue, RUNNING, string.format('%d', RUNNING + now), 'WITHSCORES', 'LIMIT', 0, ARGV.most_jobs)
for i = 1, #lapsed, 2 do                     -- to the head of the queue: they have waited longest
  local id = lapsed[i]
  if not has_ended(id) then
    local score, owner = math.max(0, lapsed[i + 1] - RUNNING - 86400000), owner_at(ARGV.payloads .. id)
    if owner == '' then
      redis.call('ZADD', KEYS.queue, string.format('%d', score), id)
    else
      park(owner, score, id)
    end
    redis.call('DEL', ARGV.leases .. id)
    if whole(peek('GET', ARGV.attempts .. id), 0) == 0 then      -- never started, so its deadline is restored
      redis.call('SET', ARGV.attempts .. id, '0', 'EX', 86400)         -- shows the next worker that a worker was lost with it
      local k, created = extras_at(ARGV.payloads .. id)
      local within = whole(math.ceil((tonumber(k.expires_in) or -1) * 1000), nil)
      if created and within then redis.call('ZADD', KEYS.deadlines, string.format('%d', created + within), id) end
    end
    tell(id, 'queued')
    answer[1] = answer[1] + 1
  end
end

-- Another program may have deleted an owner's line, or the owner's turn: then jobs would wait for ever. A sweep looks at
-- some of the parked jobs, each second at others: at many if it is known that some have no place.
local parked = redis.call('ZCOUNT', KEYS.queue, PARKED, '+inf')
if parked > 0 then
  local owners, lined = redis.pcall('ZCARD', KEYS.turns), 0
  if type(owners) == 'number' and owners <= OWNERS then
    for _, owner in ipairs(redis.call('ZRANGE', KEYS.turns, 0, -1)) do
      local length = redis.pcall('ZCARD', line_of(owner, ARGV.model))
      lined = lined + (type(length) == 'number' and length or 0)
    end
  else
    lined = parked                           -- unknown
  end
  local part = lined < parked and tonumber(ARGV.most_jobs) or CHECKED
  local first = math.floor(now / 1000) % math.ceil(parked / part) * part - parked
  local some = redis.call('ZRANGE', KEYS.queue, first, math.min(first + part - 1, -1), 'WITHSCORES')
  for i = 1, #some, 2 do
    local id, score = some[i], string.format('%.17g', some[i + 1] - PARKED)
    local owner = owner_at(ARGV.payloads .. id)
    if owner == '' then
      redis.call('ZADD', KEYS.queue, score, id)
    elseif damage_of(owner, ARGV.model) or not redis.call('ZSCORE', line_of(owner, ARGV.model), id)
      or not redis.call('ZSCORE', KEYS.turns, owner) then
      park(owner, score, id)
    end
  end
end
-- Owners that have nothing waiting, and whose time has passed, need not be remembered.
for _, owner in ipairs(redis.pcall('HRANDFIELD', KEYS.shares, 8)) do
  local marks = redis.pcall('HMGET', KEYS.shares, owner, ':now')
  local time, virtual_now = tonumber(marks[1] or nil), tonumber(marks[2] or nil)
  if owner ~= ':now' and time and virtual_now and time <= virtual_now and not redis.call('ZSCORE', KEYS.turns, owner) then
    redis.call('HDEL', KEYS.shares, owner)
  end
end
settle_lines(ARGV.model)
if answer[1] > 0 then ring(KEYS.doorbell, answer[1]) end

for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS.deadlines, '-inf', now, 'LIMIT', 0, ARGV.most_jobs)) do
  if not has_ended(id) then
    terminate(id, ARGV.model, 'expired')
    answer[2] = answer[2] + 1
  end
end

for _, id in ipairs(redis.call('ZRANGE', KEYS.abort, 0, ARGV.most_jobs - 1)) do
  if has_ended(id) then
    redis.call('ZREM', KEYS.abort, id)
  elseif redis.call('ZSCORE', KEYS.queue, id) then
    terminate(id, ARGV.model, 'cancelled')
    answer[3] = answer[3] + 1
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS.abort, '-inf', now - 60000)   -- arq does not remove them

-- Removes registrations for jobs that a worker of release 0.1 ended: it knows of none. Another program's data is no list.
for _, id in ipairs(redis.pcall('HRANDFIELD', KEYS.watched, 8)) do
  if is_record(ARGV.results .. id) then redis.call('HDEL', KEYS.watched, id) end
end

-- Counts back jobs that ended without their owner: a worker of an older release knows of none, and another program may have
-- deleted a job. The payload of an unfinished job has no lifetime.
for _, id in ipairs(redis.pcall('HRANDFIELD', KEYS.owned, 8)) do
  if redis.call('PTTL', ARGV.payloads .. id) ~= -1 then leaving[#leaving + 1] = id end
end

settle(KEYS.queue, KEYS.deadlines, KEYS.bytes, KEYS.queued_inputs, ARGV.model)
return answer
