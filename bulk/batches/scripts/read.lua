#!lua flags=allow-oom,no-writes
-- Returns a batch's record; {} if there is none.
--@key batch
return redis.call('HGETALL', KEYS.batch)
