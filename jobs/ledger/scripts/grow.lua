#!lua flags=allow-oom
-- Raises the number of shards of the queue, unless it is that large.
-- Returns the same as shards.lua
--@key recent
--@arg number  of shards that the caller wants at least
--@include growth.lua

local number = tonumber(ARGV.number)
if number > most then
  -- a new queue had that number from the beginning; a grown one may have no job in this shard, but in others
  local at = most == 1 and redis.call('EXISTS', KEYS.recent) == 0 and 0 or now
  redis.call('HSET', KEYS.shards, number, at)
  answer[#answer + 1], answer[#answer + 2] = number, at
end
return answer
