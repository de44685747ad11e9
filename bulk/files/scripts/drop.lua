-- Included by the scripts that delete the record of a file. Nothing happens without a record.
--@key files_expiry
--@key files_stored
--@arg file_records  prefix
--@arg file_lists  prefix

local function drop_file(id)
  local key = ARGV.file_records .. id
  local owner, purpose, bytes = unpack(redis.call('HMGET', key, 'owner', 'purpose', 'bytes'))
  redis.call('ZREM', KEYS.files_expiry, id)
  if not owner then return end
  redis.call('DEL', key)
  for _, name in ipairs({owner, '*'}) do
    redis.call('ZREM', ARGV.file_lists .. name .. ':', id)
    redis.call('ZREM', ARGV.file_lists .. name .. ':' .. purpose, id)
  end
  if redis.call('HINCRBY', KEYS.files_stored, owner, -tonumber(bytes)) <= 0 then
    redis.call('HDEL', KEYS.files_stored, owner)
  end
end
