#!lua
-- Appends partial answers of running jobs, for each job only if its lease is still valid, and publishes them.
-- Returns for each job the length of its partial answers; -1 if nothing may be appended any more.
-- Refused when memory is full (no allow-oom flag), because the record will contain all answers. Sending the same
-- arguments again, because the answer was lost, appends nothing twice.
--@include codec.lua
--@include many.lua
--@include notify.lua
--@arg leases  prefixes of the keys of jobs
--@arg partials
--@arg inline  most bytes that are sent in the message
--@arg lifetime  ms
--@each id token
--@each before  the expected length; -1 if it is not known
--@each lines

local lengths = {}
for at = EACH.first, #ARGV, EACH.size do
  local id, before, lines, key = EACH.id, tonumber(EACH.before), EACH.lines, ARGV.partials .. EACH.id
  local lease, length = redis.pcall('GET', ARGV.leases .. id), redis.pcall('STRLEN', key)
  local after = -1                           -- also for another program's data
  if type(lease) == 'string' and string.sub(lease, 1, 32) == EACH.token and type(length) == 'number' then
    if before == length or before < 0 then
      after = redis.call('APPEND', key, lines)
      redis.call('PEXPIRE', key, ARGV.lifetime)
      -- [id, 'running', nil, nil, nil, position, lines or nil]
      local found = #lines <= tonumber(ARGV.inline) and '\198' .. struct.pack('>I4', #lines) .. lines or '\192'
      tell(id, 'running', nil, false, '\151\192\192' .. uint(length) .. found)
    elseif before + #lines == length then
      after = length
    end
  end
  lengths[#lengths + 1] = after
end
publish()
return lengths
