#!lua
-- Appends partial answers of running jobs, for each job only if its lease is still valid, and publishes them.
-- Returns for each job the length of its partial answers; -1 if nothing may be appended any more; -2 if none were
-- expected, but an earlier attempt has written some: then the worker sends lines that void them, with `before` -1.
-- Refused when memory is full (no allow-oom flag), because the record will contain all answers.
-- Sending the same arguments again, because the answer was lost, appends nothing twice: the string ends in these lines.
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

local function is_ours(key, length)          -- or else it is another program's data, to which nothing is appended
  if length == 0 then return true end
  local first = redis.call('GETRANGE', key, 0, 1)
  return first == 'o{' or first == 'r{'
end

local lengths = {}
for at = EACH.first, #ARGV, EACH.size do
  local id, before, lines, key = EACH.id, tonumber(EACH.before), EACH.lines, ARGV.partials .. EACH.id
  local lease, length = redis.pcall('GET', ARGV.leases .. id), redis.pcall('STRLEN', key)
  local after = -1                           -- also for another program's data
  if type(lease) == 'string' and string.sub(lease, 1, 32) == EACH.token and type(length) == 'number' then
    local start = before < 0 and length - #lines or before
    if before ~= length and is_ours(key, length) then
      if start >= 0 and start + #lines == length and redis.call('GETRANGE', key, start, -1) == lines then
        after = length                       -- sent again
      elseif before < 0 then
        before = length
      elseif before == 0 then
        after = -2
      end
    end
    if before == length then
      after = redis.call('APPEND', key, lines)
      redis.call('PEXPIRE', key, ARGV.lifetime)
      -- [id, 'running', nil, nil, nil, position, lines or nil]
      local found = #lines <= tonumber(ARGV.inline) and '\198' .. struct.pack('>I4', #lines) .. lines or '\192'
      tell(id, 'running', nil, false, '\151\192\192' .. uint(length) .. found)
    end
  end
  lengths[#lengths + 1] = after
end
publish()
return lengths
