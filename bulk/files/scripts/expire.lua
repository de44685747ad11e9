#!lua flags=allow-oom
-- Deletes the records of files whose lifetime is over. Returns their ids.
--@include clock.lua
--@include drop.lua
--@arg most

local ids = redis.call('ZRANGEBYSCORE', KEYS.files_expiry, '-inf', now, 'LIMIT', 0, ARGV.most)
for _, id in ipairs(ids) do drop_file(id) end
return ids
