#!lua flags=allow-oom
-- Forgets an ended batch's chunks and lease: nothing is left to do. Returns {'cleared'} | {'refused', status} | {'lost'}.
--@include clock.lua
--@include record.lua
--@include open.lua
--@key open_batches  of its owner
--@arg owner
--@include held.lua
--@key chunks

if redis.call('PTTL', KEYS.batch) == -1 then return {'refused', status} end   -- it has not ended
redis.call('DEL', KEYS.chunks)
redis.call('HDEL', KEYS.batch, 'token')
place(KEYS.open_batches, ARGV.owner, ARGV.id, nil)
return {'cleared'}
