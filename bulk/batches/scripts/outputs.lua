-- Included by the scripts that end a batch with the files of its outcomes, whose contents are stored.
--@include bulk.files/keep.lua
--@arg owner
--@arg files  msgpack: a list of maps with field, id, name, bytes
--@arg file_lifetime  ms

local function keep_outputs()
  for _, file in ipairs(cmsgpack.unpack(ARGV.files)) do
    keep_file(file.id, ARGV.owner, 'batch_output', file.name, file.bytes, string.format('%d', now + ARGV.file_lifetime))
    redis.call('HSET', KEYS.batch, file.field, file.id)
  end
end
