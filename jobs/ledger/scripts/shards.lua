#!lua
-- Raises the number of shards of the queue, and reads how it has grown.
-- Returns {now, then for each growth its number of shards, Unix ms}. A queue begins with one shard.
--@key shards
--@key recent
--@include clock.lua
--@arg number  of shards that the caller wants at least

local grown, most, answer = redis.call('HGETALL', KEYS.shards), 1, {now}
for i = 1, #grown, 2 do
  most = math.max(most, tonumber(grown[i]))
  answer[i + 1], answer[i + 2] = tonumber(grown[i]), tonumber(grown[i + 1])
end
if tonumber(ARGV.number) > most then
  local at = redis.call('EXISTS', KEYS.recent) == 1 and now or 0   -- a new queue had that number from the beginning
  redis.call('HSET', KEYS.shards, ARGV.number, at)
  answer[#answer + 1], answer[#answer + 2] = tonumber(ARGV.number), at
end
return answer
