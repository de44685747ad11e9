#!lua
-- Accepts jobs of one model: idempotency, admission, payload, queue entry, doorbell. Each job completely or not at all.
-- Returns for each {'accepted', now, position} | {'replayed', id} | {'mismatch'} | {'exists'} |
-- {'full', 'jobs'|'bytes'|'inputs'} | {'lost'} if its uploaded media are gone | a refusal as in limits.lua, for a sender with limits with one more part, its
-- standing; and after them the unfinished jobs of this queue, their bytes and their inputs.
-- Refused when memory is full (no allow-oom flag): nothing is written and the clients get 503.
--@key deadlines
--@key bytes
--@key queued_inputs
--@key doorbell
--@key recent
--@key watched
--@include clock.lua
--@include codec.lua
--@include values.lua
--@include many.lua
--@include ring.lua
--@include counter.lua
--@arg model
--@arg payloads  prefixes of the keys of jobs
--@arg results
--@arg media
--@arg uploads  prefix
--@arg uploaded  msgpack map of the jobs with media beside their payload: id -> name of the upload, bytes; '' if there are none
--@arg idempotency
--@arg most_jobs
--@arg most_bytes
--@arg most_inputs
--@arg idempotency_ttl  ms
--@arg recent_jobs  most recent jobs
--@arg recent_of_owner  prefix of the lists of each owner's recent jobs
--@arg recent_lifetime  of these lists after the newest job, ms
--@each id
--@each payload  without the value of its last field, the creation time
--@each head_start  ms
--@each latest_start  ms from now, or 0
--@each fingerprint  or ''
--@each idempotency_key  digest of the key that the client sent, or ''
--@each watcher  API process that waits for the job's end, or ''
--@each inputs  number of inputs
--@each sender  as in limiting.py, msgpack; '' for the anonymous owner
--@arg watch_lifetime  ms

local answers, added, recent, watched = {}, {}, {}, {}
local uploaded = ARGV.uploaded ~= '' and cmsgpack.unpack(ARGV.uploaded) or {}
local of_owners = {}                         -- owner -> members of its list of recent jobs
local depth, before, inputs = redis.call('ZCARD', KEYS.queue), counters(KEYS.bytes, KEYS.queued_inputs)
if depth == 0 then inputs = 0 end            -- during an upgrade some jobs are counted only once, at their start or end
redis.call('ZCARD', KEYS.deadlines)          -- these fail on another program's data, before the script writes
local tokens = redis.call('LLEN', KEYS.doorbell)
redis.call('ZCARD', KEYS.recent)
for at = EACH.first, #ARGV, EACH.size do
  if EACH.watcher ~= '' then redis.call('HLEN', KEYS.watched) break end
end
local most_jobs, most_bytes, bytes = tonumber(ARGV.most_jobs), tonumber(ARGV.most_bytes), before
local most_inputs = tonumber(ARGV.most_inputs)
local named                                  -- what only named owners need; costs others nothing, not even its functions
for at = EACH.first, #ARGV, EACH.size do
  if EACH.sender ~= '' and not named then
--@include lines.lua
--@include limits.lua
--@include parts.lua
    named = {
      owned = type(redis.pcall('HLEN', KEYS.owned)) == 'number',   -- whether that key can be used
      line_of = line_of, lines = lines, park = park, damage_of = damage_of, settle_lines = settle_lines,
      refusal = refusal, charge = charge, standing = standing, has_part = has_part, write_rates = write_rates,
    }
  end
end
local placed = {}                            -- owner -> score -> jobs with that score or less, including new ones

local function position(owner, score, added)
  local ahead = placed[owner] or {}
  placed[owner] = ahead
  if not ahead[score] then
    ahead[score] = redis.call('ZCOUNT', owner == '' and KEYS.queue or named.line_of(owner, ARGV.model), '-inf', score)
    for i = 1, #added - 2, 2 do              -- jobs of this call are not in the queue yet
      if added[i] <= score then ahead[score] = ahead[score] + 1 end
    end
  end
  for other, jobs in pairs(ahead) do
    if other >= score then ahead[other] = jobs + 1 end
  end
  return ahead[score]
end

local function accept(id, head, head_start, latest, fingerprint, digest, watcher, count, sender)
  local owner = sender and sender.owner or ''
  local payload_key, idempotency_key = ARGV.payloads .. id, ARGV.idempotency .. digest
  if fingerprint ~= '' then
    local known = peek('GET', idempotency_key)
    if known then
      local first = string.sub(known, 33)
      if sender and first ~= id then         -- equal if this submit was sent again because its answer was lost
        local refused = named.refusal(sender, 0, true)
        if refused then return refused end
        named.charge(sender)
      end
      if string.sub(known, 1, 32) ~= fingerprint then return {'mismatch'} end
      return {'replayed', first}
    end
  end
  if redis.call('EXISTS', payload_key, ARGV.results .. id) > 0 then return {'exists'} end

  local payload, upload = head .. uint(now), uploaded[id]
  local size = #payload + (upload and upload[2] or 0)
  local damaged = sender and (not named.owned and KEYS.owned or named.damage_of(owner, ARGV.model))   -- others go on
  if damaged then return {'damaged', damaged} end
  local refused = sender and named.refusal(sender, size)
  if refused then return refused end
  local full = depth >= most_jobs and 'jobs' or bytes + size > most_bytes and 'bytes'
    or inputs + count > most_inputs and 'inputs'
  if full and not (sender and named.has_part(sender, size)) then return {'full', full} end
  if upload then                             -- its lifetime may have ended, or another program has deleted it
    if redis.call('EXISTS', ARGV.uploads .. upload[1]) == 0 then return {'lost'} end
    redis.call('RENAME', ARGV.uploads .. upload[1], ARGV.media .. id)
    redis.call('PERSIST', ARGV.media .. id)
  end

  local score, n = now - head_start, #recent
  redis.call('SET', payload_key, payload)
  if latest ~= '0' then redis.call('ZADD', KEYS.deadlines, now + latest, id) end
  if fingerprint ~= '' then redis.call('SET', idempotency_key, fingerprint .. id, 'PX', ARGV.idempotency_ttl) end
  recent[n + 1], recent[n + 2] = now, id
  if watcher ~= '' then watched[#watched + 1], watched[#watched + 2] = id, 'e' .. watcher end
  depth, bytes, inputs = depth + 1, bytes + size, inputs + count
  if not sender then
    added[#added + 1], added[#added + 2] = score, id
    return {'accepted', now, position('', score, added)}
  end
  named.park(owner, score, id)
  named.charge(sender, id, size)
  local list = of_owners[owner] or {}
  of_owners[owner], list[#list + 1], list[#list + 2] = list, now, id
  return {'accepted', now, position(owner, score, named.lines[owner])}
end

for at = EACH.first, #ARGV, EACH.size do
  local sender = EACH.sender ~= '' and cmsgpack.unpack(EACH.sender) or nil
  local answer = accept(
    EACH.id, EACH.payload, EACH.head_start, EACH.latest_start, EACH.fingerprint, EACH.idempotency_key,
    EACH.watcher, tonumber(EACH.inputs), sender)
  if sender and sender.limited then answer[#answer + 1] = named.standing(sender) end
  answers[#answers + 1] = answer
end
if named then named.write_rates() end
if #recent > 0 then
  many('ZADD', KEYS.queue, added)
  if named then named.settle_lines(ARGV.model) end
  redis.call('MSET', KEYS.bytes, string.format('%d', bytes), KEYS.queued_inputs, string.format('%d', inputs))
  many('ZADD', KEYS.recent, recent)
  redis.call('ZREMRANGEBYRANK', KEYS.recent, 0, -1 - ARGV.recent_jobs)
  for owner, list in pairs(of_owners) do
    local key = ARGV.recent_of_owner .. owner   -- pcall: another program's data there must not refuse the job
    if type(redis.pcall('ZADD', key, unpack(list))) == 'number' then
      redis.call('ZREMRANGEBYRANK', key, 0, -1 - ARGV.recent_jobs)
      redis.call('PEXPIRE', key, ARGV.recent_lifetime)
    end
  end
  if #watched > 0 then
    many('HSET', KEYS.watched, watched)
    redis.call('PEXPIRE', KEYS.watched, ARGV.watch_lifetime)
  end
  ring(KEYS.doorbell, #recent / 2, tokens)
end
local n = #answers
answers[n + 1], answers[n + 2], answers[n + 3] = depth, bytes, inputs
return answers
