#!lua flags=allow-oom
-- Records that every line has an outcome: in_progress -> finalizing, and the state that follows.
-- Returns {'moved'} | {'refused', status} | {'lost'}; {'incomplete'} if a chunk is not done.
--@include clock.lua
--@include record.lua
--@include held.lua
--@key chunks

if status == 'finalizing' then return {'moved'} end   -- sent again
if status ~= 'in_progress' then return {'refused', status} end
if redis.call('HLEN', KEYS.chunks) ~= tonumber(redis.call('HGET', KEYS.batch, 'chunks')) then return {'incomplete'} end
local late = tonumber(redis.call('HGET', KEYS.batch, 'late') or 0)
redis.call('HSET', KEYS.batch, 'outcome', late > 0 and 'expired' or 'completed')
move('finalizing')
return {'moved'}
