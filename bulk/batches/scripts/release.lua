#!lua flags=allow-oom
-- Gives a batch back, so that any runner may take it at once. Returns {'released'} | {'lost'}.
--@include clock.lua
--@include record.lua
--@include held.lua

redis.call('HDEL', KEYS.batch, 'token')
redis.call('ZADD', KEYS.open_batches, now, ARGV.member)
return {'released'}
