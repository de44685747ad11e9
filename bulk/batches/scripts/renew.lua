#!lua flags=allow-oom
-- Renews a runner's lease. Returns {'held', status, ms until the batch's window ends} | {'lost'}.
--@include clock.lua
--@include record.lua
--@key open_batches
--@arg member  of the batch among the open ones: <owner>:<id>
--@include held.lua
--@arg lease  ms

redis.call('ZADD', KEYS.open_batches, now + ARGV.lease, ARGV.member)
return {'held', status, redis.call('HGET', KEYS.batch, 'expires_at') - now}
