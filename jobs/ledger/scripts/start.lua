#!lua flags=allow-oom
-- Charges an attempt to jobs whose first batch starts, and stores the time. Jobs that only waited in a worker's
-- window are not charged if the worker dies.
-- KEYS  none
-- ARGV  1 lease prefix  2 attempts prefix, then for each job id, token, attempts including this one
-- Sending the same arguments again, because the answer was lost, charges no second attempt.
--@include codec.lua

local now = clock()
for i = 3, #ARGV, 3 do
  local key, attempts = ARGV[1] .. ARGV[i], ARGV[2] .. ARGV[i]
  local lease = peek('GET', key)
  if lease and string.sub(lease, 1, 32) == ARGV[i + 1] then
    redis.call('SET', key, ARGV[i + 1] .. string.format('%d', now), 'KEEPTTL')
    redis.call('SET', attempts, ARGV[i + 2], 'EX', 86400)
  end
end
