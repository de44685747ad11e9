#!lua
-- Begins an upload: the key gets its lifetime before it gets any media.
-- Refused when memory is full (no allow-oom flag), like a submit.
--@key upload
--@arg lifetime  ms

redis.call('HSET', KEYS.upload, '', '')
redis.call('PEXPIRE', KEYS.upload, ARGV.lifetime)
