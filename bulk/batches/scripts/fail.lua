#!lua flags=allow-oom
-- Ends a batch whose file is not valid (validating -> failed), or whose objects are gone. Returns {'moved'} | {'refused', status} | {'lost'}.
--@include clock.lua
--@include record.lua
--@include held.lua
--@include close.lua
--@arg faults  JSON

if status == 'failed' then return {'moved'} end   -- sent again
if status ~= 'validating' and status ~= 'in_progress' and status ~= 'finalizing' then return {'refused', status} end
redis.call('HSET', KEYS.batch, 'faults', ARGV.faults)
close('failed')
return {'moved'}
