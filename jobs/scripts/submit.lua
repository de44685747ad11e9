#!lua
-- Accepts a job: idempotency, admission, payload, queue entry, doorbell. All or nothing, one round trip.
-- KEYS  1 payload  2 result  3 idempotency  4 queue  5 deadlines  6 bytes  7 doorbell  8 recent
-- ARGV  1 id  2 payload less the value of its last field, the creation time  3 head start, ms
--       4 latest start from now, ms, or 0  5 most jobs  6 most bytes  7 fingerprint, or ''
--       8 idempotency lifetime, ms  9 most recent jobs
-- Answers {'accepted', now, position} | {'replayed', id} | {'mismatch'} | {'exists'} | {'full', 'jobs'|'bytes', depth}
-- It is refused when memory is full (no allow-oom flag): the client is told 503 and nothing is written.
--@include codec.lua

if ARGV[7] ~= '' then
  local known = redis.call('GET', KEYS[3])
  if known then
    if string.sub(known, 1, 32) ~= ARGV[7] then return {'mismatch'} end
    return {'replayed', string.sub(known, 33)}
  end
end
if redis.call('EXISTS', KEYS[1], KEYS[2]) > 0 then return {'exists'} end

local depth = redis.call('ZCARD', KEYS[4])
if depth >= tonumber(ARGV[5]) then return {'full', 'jobs', depth} end
local now = clock()
local payload = ARGV[2] .. uint(now)
local bytes = tonumber(redis.call('GET', KEYS[6]) or 0)
if bytes + #payload > tonumber(ARGV[6]) then return {'full', 'bytes', depth} end

local score = now - ARGV[3]
redis.call('SET', KEYS[1], payload)
redis.call('INCRBY', KEYS[6], #payload)
redis.call('ZADD', KEYS[4], score, ARGV[1])
if ARGV[4] ~= '0' then redis.call('ZADD', KEYS[5], now + ARGV[4], ARGV[1]) end
if ARGV[7] ~= '' then redis.call('SET', KEYS[3], ARGV[7] .. ARGV[1], 'PX', ARGV[8]) end
redis.call('ZADD', KEYS[8], now, ARGV[1])
redis.call('ZREMRANGEBYRANK', KEYS[8], 0, -1 - ARGV[9])
ring(KEYS[7])
return {'accepted', now, redis.call('ZCOUNT', KEYS[4], '-inf', score)}
