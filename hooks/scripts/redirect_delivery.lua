#!lua
-- Makes a delivery due now, for the address that its receiver has by now: a pending one with the tries that are left,
-- or any with all its tries, if it is sent again. Returns 1, 0 if it has ended, -1 if there is none.
--@key hosts
--@include clock.lua
--@arg id
--@arg owner
--@arg url
--@arg host  of the url
--@arg again  1 to send it again
--@arg deliveries  prefix
--@arg due  prefix
--@arg logs  prefix
--@arg undeliverable  prefix

local key, again = ARGV.deliveries .. ARGV.id, ARGV.again == '1'
local state, host, created = unpack(redis.call('HMGET', key, 'state', 'host', 'created'))
if not state then return -1 end
if state ~= 'pending' and not again then return 0 end
redis.call('ZADD', KEYS.hosts, 'LT', now, ARGV.host)
redis.call('ZADD', ARGV.due .. ARGV.host, now, ARGV.id)   -- a sender that has it now will send it too
if host and host ~= ARGV.host then redis.call('ZREM', ARGV.due .. host, ARGV.id) end
redis.call('HSET', key, 'url', ARGV.url, 'host', ARGV.host, 'next', now)
if again then
  redis.call('HSET', key, 'state', 'pending', 'since', now, 'round', 0)
  redis.call('PERSIST', key)
  redis.pcall('ZREM', ARGV.undeliverable .. ARGV.owner, ARGV.id)
  redis.pcall('ZADD', ARGV.logs .. ARGV.owner, created, ARGV.id)
end
return 1
