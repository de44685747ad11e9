#!lua
-- Reserves bytes of an owner's quota for an upload, or renews and changes its reservation, which ends by itself.
-- Returns 'reserved', or why it was refused: 'bytes' | 'files' | 'uploads'. A refusal changes nothing.
--@key files_stored
--@key uploads
--@key list  the owner's files
--@include clock.lua
--@arg id
--@arg owner
--@arg bytes
--@arg lifetime  ms
--@arg most_bytes
--@arg most_files
--@arg most_uploads

local others, reserved, known = 0, tonumber(ARGV.bytes), false
local uploads = redis.call('HGETALL', KEYS.uploads)
for at = 1, #uploads, 2 do
  local bytes, ends = string.match(uploads[at + 1], '^(%d+) (%d+)$')
  if uploads[at] == ARGV.id then
    known = true
  elseif bytes and tonumber(ends) > now then
    others, reserved = others + 1, reserved + tonumber(bytes)
  else                                       -- its process died
    redis.call('HDEL', KEYS.uploads, uploads[at])
  end
end
local stored = tonumber(redis.call('HGET', KEYS.files_stored, ARGV.owner) or 0)
if stored + reserved > tonumber(ARGV.most_bytes) then return 'bytes' end
if not known then
  if others >= tonumber(ARGV.most_uploads) then return 'uploads' end
  if redis.call('ZCARD', KEYS.list) + others >= tonumber(ARGV.most_files) then return 'files' end
end
redis.call('HSET', KEYS.uploads, ARGV.id, string.format('%d %d', ARGV.bytes, now + ARGV.lifetime))
redis.call('PEXPIRE', KEYS.uploads, ARGV.lifetime)
return 'reserved'
