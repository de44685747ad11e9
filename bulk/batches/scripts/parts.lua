#!lua flags=allow-oom,no-writes
-- Returns a batch's chunks that are done, each with its part.
--@key chunks
return redis.call('HGETALL', KEYS.chunks)
