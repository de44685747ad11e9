#!lua
-- Appends new outcomes of running jobs, for each job only if its lease is still valid, and publishes the counts.
-- Returns the ids whose progress has an unexpected length: it was deleted, and all outcomes must be sent again.
-- Refused when memory is full (no allow-oom flag), because the record will contain all outcomes. Sending the same
-- arguments again, because the answer was lost, appends nothing twice.
--@include codec.lua
--@include many.lua
--@include notify.lua
--@arg leases  prefixes of the keys of jobs
--@arg progress
--@arg lifetime  ms
--@each id token
--@each before  number of outcomes already stored
--@each succeeded failed  inputs with an output, inputs that failed
--@each spent  ' <tokens> <microseconds>' for a job of a named owner, otherwise ''
--@each count  number of outcomes that follow, each outcome one argument

local deleted, at = {}, EACH.first
while at <= #ARGV do
  local id, before, count, key = EACH.id, tonumber(EACH.before), tonumber(EACH.count), ARGV.progress .. EACH.id
  local first = at + EACH.size
  local lease = redis.pcall('GET', ARGV.leases .. id)
  if type(lease) == 'string' and string.sub(lease, 1, 32) == EACH.token then
    local length = redis.pcall('LLEN', key)
    if type(length) ~= 'number' then length = -1 end   -- another program's data, deleted when the job ends
    if length == 0 and before == 0 then length = redis.call('RPUSH', key, '') end
    if length == before + 1 then
      for from = first, first + count - 1, 4000 do
        redis.call('RPUSH', key, unpack(ARGV, from, math.min(from + 3999, first + count - 1)))
      end
      redis.call('LSET', key, 0, EACH.succeeded .. ' ' .. EACH.failed .. EACH.spent)
      redis.call('PEXPIRE', key, ARGV.lifetime)
      -- [id, 'running', nil, inputs with an output, inputs that failed]
      local counts = '\149' .. uint(EACH.succeeded) .. uint(EACH.failed)
      tell(id, 'running', nil, false, counts)
    elseif length >= 0 and length ~= before + count + 1 then
      redis.call('DEL', key)
      deleted[#deleted + 1] = id
    end
  end
  at = first + count
end
publish()
return deleted
