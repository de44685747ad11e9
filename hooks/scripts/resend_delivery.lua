#!lua
-- Makes a delivery due now, with all its tries. Returns 1; 0 if it is due already, -1 if there is none.
--@key hosts
--@include clock.lua
--@arg id
--@arg owner
--@arg host
--@arg deliveries  prefix
--@arg due  prefix
--@arg logs  prefix
--@arg undeliverable  prefix

local key = ARGV.deliveries .. ARGV.id
local state = redis.call('HGET', key, 'state')
if not state then return -1 end
redis.call('ZADD', KEYS.hosts, 'LT', now, ARGV.host)
redis.call('ZADD', ARGV.due .. ARGV.host, now, ARGV.id)   -- a sender that has it now will send it too
redis.call('HSET', key, 'state', 'pending', 'since', now, 'next', now, 'round', 0)
redis.call('PERSIST', key)
redis.pcall('ZREM', ARGV.undeliverable .. ARGV.owner, ARGV.id)
redis.pcall('ZADD', ARGV.logs .. ARGV.owner, redis.call('HGET', key, 'created'), ARGV.id)
return state == 'pending' and 0 or 1
