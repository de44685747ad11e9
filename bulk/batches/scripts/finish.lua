#!lua flags=allow-oom
-- Ends a batch with the files of its outcomes: finalizing -> completed or expired, cancelling -> cancelled.
-- Returns {'moved', status} | {'refused', status} | {'lost'}.
--@include clock.lua
--@include record.lua
--@include held.lua
--@include close.lua
--@include bulk.files/keep.lua
--@arg files  msgpack: a list of maps with field, id, name, bytes
--@arg file_lifetime  ms

local outcome = status == 'cancelling' and 'cancelled' or redis.call('HGET', KEYS.batch, 'outcome')
if status == 'cancelled' or status == outcome then return {'moved', status} end   -- sent again
if status ~= 'cancelling' and status ~= 'finalizing' then return {'refused', status} end
for _, file in ipairs(cmsgpack.unpack(ARGV.files)) do
  keep_file(file.id, ARGV.owner, 'batch_output', file.name, file.bytes, string.format('%d', now + ARGV.file_lifetime))
  redis.call('HSET', KEYS.batch, file.field, file.id)
end
close(outcome)
return {'moved', outcome}
