#!lua flags=allow-oom
-- Records that a batch's file is valid: validating -> in_progress. Returns {'moved'} | {'refused', status} | {'lost'}.
--@include clock.lua
--@include record.lua
--@include held.lua
--@arg model
--@arg total  requests
--@arg number  of chunks
--@arg table  name of the object that lists them

if status == 'in_progress' and redis.call('HGET', KEYS.batch, 'table') == ARGV.table then return {'moved'} end   -- sent again
if status ~= 'validating' then return {'refused', status} end
redis.call('HSET', KEYS.batch, 'model', ARGV.model, 'total', ARGV.total, 'chunks', ARGV.number, 'table', ARGV.table)
move('in_progress')
return {'moved'}
