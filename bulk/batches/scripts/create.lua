#!lua
-- Accepts a batch: its record, its place among the open ones and in the lists. All of it or nothing.
-- Returns {'accepted', record} | {'full'} if its owner has too many open batches.
-- Refused when memory is full (no allow-oom flag).
--@include clock.lua
--@include record.lua
--@include open.lua
--@key open_batches  of its owner
--@key listed  the list of the owner's batches
--@key listed_all
--@arg owner
--@arg asked  JSON
--@arg window  ms
--@arg most  open batches of one owner
--@arg list_lifetime  ms

if redis.call('EXISTS', KEYS.batch) == 0 then   -- it exists if this script was sent again because its answer was lost
  if redis.call('ZCARD', KEYS.open_batches) >= tonumber(ARGV.most) then return {'full'} end
  place(KEYS.open_batches, ARGV.owner, ARGV.id, now)
  redis.call('HSET', KEYS.batch, 'status', 'validating', 'created_at', string.format('%d', now),
    'expires_at', string.format('%d', now + ARGV.window), 'asked', ARGV.asked)
  note_state('validating')
end
for _, list in ipairs({KEYS.listed, KEYS.listed_all}) do
  redis.call('ZADD', list, 'NX', now, ARGV.id)
  redis.call('ZREMRANGEBYSCORE', list, '-inf', now - ARGV.list_lifetime)
  redis.call('PEXPIRE', list, ARGV.list_lifetime)
end
return {'accepted', redis.call('HGETALL', KEYS.batch)}
