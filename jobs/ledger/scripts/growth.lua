-- Included by the scripts that read how the queue has grown. A queue begins with one shard.
--@key shards
--@arg most_shards
--@include clock.lua
--@include values.lua

local answer, most = {now}, 1                -- now, then for each growth its number of shards, Unix ms
local stored = redis.call('HGETALL', KEYS.shards)
for i = 1, #stored, 2 do
  local number, at = whole(stored[i], 0), whole(stored[i + 1], nil)
  if at and number >= 1 and number <= tonumber(ARGV.most_shards) then   -- else another program's data
    most = math.max(most, number)
    answer[#answer + 1], answer[#answer + 2] = number, at
  end
end
