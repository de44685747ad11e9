#!lua flags=allow-oom
-- Renews a runner's lease. Returns {'held', status, ms until the batch's window ends, runners lost} | {'lost'}.
--@include clock.lua
--@include record.lua
--@include open.lua
--@key open_batches  of its owner
--@arg owner
--@include held.lua
--@arg lease  ms

place(KEYS.open_batches, ARGV.owner, ARGV.id, now + ARGV.lease)
return {'held', status, redis.call('HGET', KEYS.batch, 'expires_at') - now, tonumber(redis.call('HGET', KEYS.batch, 'lost') or 0)}
