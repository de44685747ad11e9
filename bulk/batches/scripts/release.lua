#!lua flags=allow-oom
-- Gives a batch back, so that any runner may take it at once. Returns {'released'} | {'lost'}.
--@include clock.lua
--@include record.lua
--@key open_batches
--@arg member  of the batch among the open ones: <owner>:<id>
--@include held.lua

redis.call('HDEL', KEYS.batch, 'token')
redis.call('ZADD', KEYS.open_batches, now, ARGV.member)
return {'released'}
