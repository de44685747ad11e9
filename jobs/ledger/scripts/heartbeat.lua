#!lua flags=allow-oom
-- Writes a worker's heartbeat, also when memory is full, so that running workers do not appear dead then.
--@key heartbeat
--@key roster
--@include clock.lua
--@arg worker  id
--@arg beat  msgpack
--@arg lifetime  ms

redis.call('SET', KEYS.heartbeat, ARGV.beat, 'PX', ARGV.lifetime)
redis.call('ZADD', KEYS.roster, now, ARGV.worker)
redis.call('PEXPIRE', KEYS.roster, 60000)
