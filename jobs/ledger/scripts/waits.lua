#!lua flags=allow-oom
-- Publishes how many requests of each owner wait in one API process.
-- Returns what the other processes published within the lifetime; removes what is older.
--@key waits
--@include clock.lua
--@arg process
--@arg counts  msgpack, owner -> waits
--@arg lifetime  ms

local found, answer = redis.call('HGETALL', KEYS.waits), {}
for i = 1, #found, 2 do
  local process, written = found[i], #found[i + 1] > 8 and struct.unpack('>I8', found[i + 1]) or 0
  if now - written > tonumber(ARGV.lifetime) then
    redis.call('HDEL', KEYS.waits, process)
  elseif process ~= ARGV.process then
    answer[#answer + 1] = string.sub(found[i + 1], 9)
  end
end
redis.call('HSET', KEYS.waits, ARGV.process, struct.pack('>I8', now) .. ARGV.counts)
redis.call('PEXPIRE', KEYS.waits, ARGV.lifetime)
return answer
