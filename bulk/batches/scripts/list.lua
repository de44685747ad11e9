#!lua flags=allow-oom,no-writes
-- Returns the newest batches of a list after a given one, at most `limit`, each as {id, record}; nil if that one is not in the
-- list. Those whose lifetime is over are left out.
--@key listed
--@arg batches  prefix of the keys of records
--@arg after  id, or ''
--@arg limit

local first, found, limit = 0, {}, tonumber(ARGV.limit)
if ARGV.after ~= '' then
  local rank = redis.call('ZREVRANK', KEYS.listed, ARGV.after)
  if not rank then return false end
  first = rank + 1
end
repeat
  local ids = redis.call('ZREVRANGE', KEYS.listed, first, first + limit - 1)
  for _, id in ipairs(ids) do
    local record = redis.call('HGETALL', ARGV.batches .. id)
    if #record > 0 and #found < limit then found[#found + 1] = {id, record} end
  end
  first = first + limit
until #ids < limit or #found >= limit
return found
