#!lua flags=allow-oom
-- Gives a batch back, so that any runner may take it at once. Returns {'released'} | {'lost'}.
--@include clock.lua
--@include record.lua
--@include open.lua
--@key open_batches  of its owner
--@arg owner
--@include held.lua

redis.call('HDEL', KEYS.batch, 'token')
place(KEYS.open_batches, ARGV.owner, ARGV.id, now)
return {'released'}
