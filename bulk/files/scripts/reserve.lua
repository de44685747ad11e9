#!lua
-- Reserves bytes of an owner's quota for an upload, or renews and changes its reservation, which ends by itself.
-- Returns the reserved bytes, or why none were: 'bytes' | 'files' | 'uploads'. A refusal changes nothing.
--@key files_stored
--@key uploads
--@key list  the owner's files
--@include clock.lua
--@arg id
--@arg owner
--@arg bytes  that it needs
--@arg wanted  bytes that are reserved instead if there are so many
--@arg lifetime  ms
--@arg most_bytes
--@arg most_files
--@arg most_uploads

local others, reserved, known = 0, 0, false
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
local left, bytes = tonumber(ARGV.most_bytes) - stored - reserved, tonumber(ARGV.bytes)
if bytes > left then return 'bytes' end
bytes = math.max(bytes, math.min(left, tonumber(ARGV.wanted)))
if not known then
  if others >= tonumber(ARGV.most_uploads) then return 'uploads' end
  if redis.call('ZCARD', KEYS.list) + others >= tonumber(ARGV.most_files) then return 'files' end
end
redis.call('HSET', KEYS.uploads, ARGV.id, string.format('%d %d', bytes, now + ARGV.lifetime))
redis.call('PEXPIRE', KEYS.uploads, ARGV.lifetime)
return bytes
