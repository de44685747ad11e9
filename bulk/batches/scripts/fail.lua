#!lua flags=allow-oom
-- Ends a batch whose file is not valid (validating -> failed), or that cannot be continued from any state, with the files of what is
-- known of it. Returns {'moved'} | {'refused', status} | {'lost'}.
--@include clock.lua
--@include record.lua
--@include held.lua
--@include close.lua
--@include outputs.lua
--@arg faults  JSON

if status == 'failed' then return {'moved'} end   -- sent again
if redis.call('PTTL', KEYS.batch) ~= -1 then return {'refused', status} end   -- it has ended
redis.call('HSET', KEYS.batch, 'faults', ARGV.faults)
keep_outputs()
close('failed')
return {'moved'}
