#!lua flags=allow-oom
-- Raises the number of shards of the queue, and reads how it has grown. Also when memory is full: without the number,
-- a new process can find no job.
-- Returns {now, then for each growth its number of shards, Unix ms}. A queue begins with one shard.
--@key shards
--@key recent
--@include codec.lua
--@arg number  of shards that the caller wants at least
--@arg most_shards

local grown, most, answer = redis.call('HGETALL', KEYS.shards), 1, {now}
for i = 1, #grown, 2 do
  local number, at = whole(grown[i], 0), whole(grown[i + 1], nil)
  if at and number >= 1 and number <= tonumber(ARGV.most_shards) then   -- else another program's data
    most = math.max(most, number)
    answer[#answer + 1], answer[#answer + 2] = number, at
  end
end
if tonumber(ARGV.number) > most then
  -- a new queue had that number from the beginning; a grown one may have no job in this shard, but in others
  local at = most == 1 and redis.call('EXISTS', KEYS.recent) == 0 and 0 or now
  redis.call('HSET', KEYS.shards, ARGV.number, at)
  answer[#answer + 1], answer[#answer + 2] = tonumber(ARGV.number), at
end
return answer
