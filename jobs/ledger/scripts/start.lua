#!lua flags=allow-oom
-- Charges an attempt to jobs whose first batch starts, and stores the time. Jobs that only waited in a worker's
-- window are not charged if the worker dies.
-- Sending the same arguments again, because the answer was lost, charges no second attempt.
--@key queue
--@include clock.lua
--@include strings.lua
--@arg leases  prefixes of the keys of jobs
--@arg attempts
--@each id token
--@each attempts  including this one

local ids = {}
for at = EACH.first, #ARGV, EACH.size do ids[#ids + 1] = EACH.id end
local leases = strings(ARGV.leases, ids)
for at = EACH.first, #ARGV, EACH.size do
  local key, lease = ARGV.leases .. EACH.id, leases[(at - EACH.first) / EACH.size + 1]
  if lease and string.sub(lease, 1, 32) == EACH.token then
    redis.call('SET', key, EACH.token .. string.format('%d', now), 'KEEPTTL')
    redis.call('SET', ARGV.attempts .. EACH.id, EACH.attempts, 'EX', 86400)
  end
end
