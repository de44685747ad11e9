#!lua
-- Accepts jobs of one model: idempotency, admission, payload, queue entry; one ring for all. Each all or nothing.
-- KEYS  1 queue  2 deadlines  3 bytes  4 doorbell  5 recent, then payload, result, idempotency for each job
-- ARGV  1 most jobs  2 most bytes  3 idempotency lifetime, ms  4 most recent jobs, then for each job
--       id, payload less the value of its last field, the creation time, head start, ms, latest start from now, ms,
--       or 0, fingerprint, or ''
-- Answers for each {'accepted', now, position} | {'replayed', id} | {'mismatch'} | {'exists'} |
-- {'full', 'jobs'|'bytes', depth}
-- They are refused when memory is full (no allow-oom flag): the clients are told 503 and nothing is written.
--@include codec.lua

local now, answers, accepted = clock(), {}, 0
local depth, bytes = redis.call('ZCARD', KEYS[1]), tonumber(redis.call('GET', KEYS[3]) or 0)
local most_jobs, most_bytes = tonumber(ARGV[1]), tonumber(ARGV[2])

local function accept(id, head, head_start, latest, fingerprint, payload_key, result_key, idempotency_key)
  if fingerprint ~= '' then
    local known = redis.call('GET', idempotency_key)
    if known then
      if string.sub(known, 1, 32) ~= fingerprint then return {'mismatch'} end
      return {'replayed', string.sub(known, 33)}
    end
  end
  if redis.call('EXISTS', payload_key, result_key) > 0 then return {'exists'} end

  if depth >= most_jobs then return {'full', 'jobs', depth} end
  local payload = head .. uint(now)
  if bytes + #payload > most_bytes then return {'full', 'bytes', depth} end

  local score = now - head_start
  redis.call('SET', payload_key, payload)
  redis.call('INCRBY', KEYS[3], #payload)
  redis.call('ZADD', KEYS[1], score, id)
  if latest ~= '0' then redis.call('ZADD', KEYS[2], now + latest, id) end
  if fingerprint ~= '' then redis.call('SET', idempotency_key, fingerprint .. id, 'PX', ARGV[3]) end
  redis.call('ZADD', KEYS[5], now, id)
  depth, bytes, accepted = depth + 1, bytes + #payload, accepted + 1
  return {'accepted', now, redis.call('ZCOUNT', KEYS[1], '-inf', score)}
end

for job = 0, (#ARGV - 4) / 5 - 1 do
  local a, k = 5 + 5 * job, 6 + 3 * job
  answers[job + 1] = accept(ARGV[a], ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], KEYS[k], KEYS[k + 1], KEYS[k + 2])
end
if accepted > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[5], 0, -1 - ARGV[4])
  ring(KEYS[4])
end
return answers
