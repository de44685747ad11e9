#!lua flags=allow-oom
-- Ends the reservation of an upload that failed.
--@key uploads
--@arg id

return redis.call('HDEL', KEYS.uploads, ARGV.id)
