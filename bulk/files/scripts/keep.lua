-- Included by the scripts that record a file whose content is stored. A repeated call changes nothing.
--@key files_expiry
--@key files_stored
--@arg file_records  prefix
--@arg file_lists  prefix

-- `expires`: Unix ms, or nil for a file that is kept until it is deleted. `now`: clock.lua's.
local function keep_file(id, owner, purpose, filename, bytes, expires)
  local key = ARGV.file_records .. id
  if redis.call('EXISTS', key) == 1 then return end
  redis.call('HSET', key, 'owner', owner, 'purpose', purpose, 'bytes', bytes, 'created', now,
    'expires', expires or '', 'filename', filename)
  for _, name in ipairs({owner, '*'}) do
    redis.call('ZADD', ARGV.file_lists .. name .. ':', now, id)
    redis.call('ZADD', ARGV.file_lists .. name .. ':' .. purpose, now, id)
  end
  if expires then redis.call('ZADD', KEYS.files_expiry, expires, id) end
  redis.call('HINCRBY', KEYS.files_stored, owner, bytes)
end
