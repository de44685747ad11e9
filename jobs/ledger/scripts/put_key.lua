#!lua flags=allow-oom
-- Stores the record of an API key, also when memory is full: a revocation must not wait for memory.
-- Returns 1, or 0 if the record is not the expected one. Called again after a lost answer, it returns 1.
--@key api_keys
--@arg id
--@arg expected  record, or '' if there is none
--@arg record
--@arg version  a new one

local stored = redis.call('HGET', KEYS.api_keys, ARGV.id) or ''
if stored == ARGV.record then return 1 end
if stored ~= ARGV.expected then return 0 end
redis.call('HSET', KEYS.api_keys, ARGV.id, ARGV.record, 'version', ARGV.version)
return 1
