#!lua flags=allow-oom
-- Returns claimed jobs without a result to the queue. Restores their score, the deadline of jobs that were never
-- started, and the attempts of jobs whose start does not count.
-- Returns the number of jobs that were returned.
--@key deadlines
--@key doorbell
--@include clock.lua
--@include codec.lua
--@include values.lua
--@include many.lua
--@include lines.lua
--@include ring.lua
--@include notify.lua
--@arg leases  prefixes of the keys of jobs
--@arg attempts
--@each id token score
--@each latest_start  Unix ms, or 0
--@each attempts  or '' to keep them
--@each owner  or ''
--@arg model

local returned = 0
for at = EACH.first, #ARGV, EACH.size do
  local id = EACH.id
  local lease = peek('GET', ARGV.leases .. id)
  if lease and string.sub(lease, 1, 32) == EACH.token then
    if EACH.owner == '' then
      redis.call('ZADD', KEYS.queue, 'XX', EACH.score, id)
    elseif redis.call('ZSCORE', KEYS.queue, id) then
      park(EACH.owner, EACH.score, id)
    end
    if EACH.latest_start ~= '0' then redis.call('ZADD', KEYS.deadlines, EACH.latest_start, id) end
    redis.call('DEL', ARGV.leases .. id)
    local before = tonumber(EACH.attempts)
    if before and whole(peek('GET', ARGV.attempts .. id), 0) > before then
      redis.call('SET', ARGV.attempts .. id, before, 'EX', 86400)
    end
    tell(id, 'queued')
    returned = returned + 1
  end
end
settle_lines(ARGV.model)
if returned > 0 then ring(KEYS.doorbell, returned) end
publish()
return returned
