#!lua flags=allow-oom
-- Ends a batch with the files of its outcomes: finalizing -> completed or expired, cancelling -> cancelled.
-- Returns {'moved', status} | {'refused', status} | {'lost'}.
--@include clock.lua
--@include record.lua
--@include held.lua
--@include close.lua
--@include outputs.lua

local outcome = status == 'cancelling' and 'cancelled' or redis.call('HGET', KEYS.batch, 'outcome')
if status == 'cancelled' or status == outcome then return {'moved', status} end   -- sent again
if status ~= 'cancelling' and status ~= 'finalizing' then return {'refused', status} end
keep_outputs()
close(outcome)
return {'moved', outcome}
