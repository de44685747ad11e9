#!lua flags=allow-oom
-- Writes a worker's heartbeat, also when memory is full, so that running workers do not appear dead then.
-- KEYS  1 heartbeat  2 roster
-- ARGV  1 worker id  2 heartbeat, msgpack  3 its lifetime, ms
--@include codec.lua

redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('ZADD', KEYS[2], clock(), ARGV[1])
redis.call('PEXPIRE', KEYS[2], 60000)
