#!lua
-- Accepts jobs of one model: idempotency, admission, payload, queue entry, doorbell. Each job completely or not at all.
-- KEYS  1 queue  2 deadlines  3 bytes  4 doorbell  5 recent, then payload, result, idempotency for each job
-- ARGV  1 most jobs  2 most bytes  3 idempotency lifetime, ms  4 most recent jobs, then for each job
--       id, payload without the value of its last field, the creation time, head start, ms, latest start from now, ms,
--       or 0, fingerprint, or ''
-- Returns for each {'accepted', now, position} | {'replayed', id} | {'mismatch'} | {'exists'} |
-- {'full', 'jobs'|'bytes', depth}
-- Refused when memory is full (no allow-oom flag): nothing is written and the clients get 503.
--@include codec.lua

local now, answers, added, recent = clock(), {}, {}, {}
local depth, before = redis.call('ZCARD', KEYS[1]), counter(KEYS[3])
redis.call('ZCARD', KEYS[2])                 -- these fail on another program's data, before the script writes
redis.call('LLEN', KEYS[4])
redis.call('ZCARD', KEYS[5])
local most_jobs, most_bytes, bytes = tonumber(ARGV[1]), tonumber(ARGV[2]), before
local ahead = {}                             -- score -> jobs with that score or less, including new ones

local function position(score)
  if not ahead[score] then
    ahead[score] = redis.call('ZCOUNT', KEYS[1], '-inf', score)
    for i = 1, #added - 2, 2 do              -- jobs of this call are not in the queue yet
      if added[i] <= score then ahead[score] = ahead[score] + 1 end
    end
  end
  for other, jobs in pairs(ahead) do
    if other >= score then ahead[other] = jobs + 1 end
  end
  return ahead[score]
end

local function accept(id, head, head_start, latest, fingerprint, payload_key, result_key, idempotency_key)
  if fingerprint ~= '' then
    local known = peek('GET', idempotency_key)
    if known then
      if string.sub(known, 1, 32) ~= fingerprint then return {'mismatch'} end
      return {'replayed', string.sub(known, 33)}
    end
  end
  if redis.call('EXISTS', payload_key, result_key) > 0 then return {'exists'} end

  if depth >= most_jobs then return {'full', 'jobs', depth} end
  local payload = head .. uint(now)
  if bytes + #payload > most_bytes then return {'full', 'bytes', depth} end

  local score, n = now - head_start, #added
  redis.call('SET', payload_key, payload)
  if latest ~= '0' then redis.call('ZADD', KEYS[2], now + latest, id) end
  if fingerprint ~= '' then redis.call('SET', idempotency_key, fingerprint .. id, 'PX', ARGV[3]) end
  added[n + 1], added[n + 2], recent[n + 1], recent[n + 2] = score, id, now, id
  depth, bytes = depth + 1, bytes + #payload
  return {'accepted', now, position(score)}
end

for job = 0, (#ARGV - 4) / 5 - 1 do
  local a, k = 5 + 5 * job, 6 + 3 * job
  answers[job + 1] = accept(ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], KEYS[k], KEYS[k + 1], KEYS[k + 2])
end
if #added > 0 then
  many('ZADD', KEYS[1], added)
  redis.call('INCRBY', KEYS[3], bytes - before)
  many('ZADD', KEYS[5], recent)
  redis.call('ZREMRANGEBYRANK', KEYS[5], 0, -1 - ARGV[4])
  ring(KEYS[4], #added / 2)
end
return answers
