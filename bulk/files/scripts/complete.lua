#!lua
-- Records an uploaded file, whose content is stored, in place of its reservation.
-- Returns {created, expires or ''}, or nil if the reservation is gone: then the content may be deleted at any time.
-- A repeated call returns the same.
--@key uploads
--@include clock.lua
--@include keep.lua
--@arg id
--@arg owner
--@arg purpose
--@arg filename
--@arg bytes
--@arg lifetime  ms, or 0 for a file that is kept until it is deleted

local lifetime = tonumber(ARGV.lifetime)
if redis.call('EXISTS', ARGV.file_records .. ARGV.id) == 0 then
  local reservation = redis.call('HGET', KEYS.uploads, ARGV.id)
  if not reservation or tonumber(string.match(reservation, '%d+$')) <= now then return nil end
  keep_file(ARGV.id, ARGV.owner, ARGV.purpose, ARGV.filename, ARGV.bytes, lifetime > 0 and now + lifetime or nil)
  redis.call('HDEL', KEYS.uploads, ARGV.id)
end
return redis.call('HMGET', ARGV.file_records .. ARGV.id, 'created', 'expires')
