#!lua flags=allow-oom
-- Stores or deletes the record of an endpoint or secret, also when memory is full: it may be to disable one.
-- Returns 1, or 0 if the record is not the expected one. Called again after a lost answer, it returns 1.
--@key hooks
--@arg id
--@arg expected  record, or '' if there is none
--@arg record  '' to delete it
--@arg version  a new one

local stored = redis.call('HGET', KEYS.hooks, ARGV.id) or ''
if stored == ARGV.record then return 1 end
if stored ~= ARGV.expected then return 0 end
if ARGV.record == '' then redis.call('HDEL', KEYS.hooks, ARGV.id)
else redis.call('HSET', KEYS.hooks, ARGV.id, ARGV.record) end
redis.call('HSET', KEYS.hooks, 'version', ARGV.version)
return 1
