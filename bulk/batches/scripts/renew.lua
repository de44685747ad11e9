#!lua flags=allow-oom
-- Renews a runner's lease. Returns {'held', status, ms until the batch's window ends} | {'lost'}.
--@include clock.lua
--@include record.lua
--@include held.lua
--@arg lease  ms

redis.call('ZADD', KEYS.open_batches, now + ARGV.lease, ARGV.member)
return {'held', status, redis.call('HGET', KEYS.batch, 'expires_at') - now}
