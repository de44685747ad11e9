#!lua flags=allow-oom
-- Forgets an ended batch's chunks and lease: nothing is left to do. Returns {'cleared'} | {'refused', status} | {'lost'}.
--@include clock.lua
--@include record.lua
--@key open_batches
--@arg member  of the batch among the open ones: <owner>:<id>
--@include held.lua
--@key chunks

if redis.call('PTTL', KEYS.batch) == -1 then return {'refused', status} end   -- it has not ended
redis.call('DEL', KEYS.chunks)
redis.call('HDEL', KEYS.batch, 'token')
redis.call('ZREM', KEYS.open_batches, ARGV.member)
return {'cleared'}
