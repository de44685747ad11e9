#!lua
-- Changes which owners have counters of their own in the metrics: some go, and others come as long as there is room.
-- Returns the owners that have some now, those that have had them longest first.
--@key metered_owners
--@include clock.lua
--@arg most_owners
--@arg lifetime  ms
--@arg leaving  how many of the owners that follow go; the others come
--@each owner

local known = redis.call('ZCARD', KEYS.metered_owners)
for at = EACH.first, #ARGV, EACH.size do
  if (at - EACH.first) / EACH.size < tonumber(ARGV.leaving) then
    known = known - redis.call('ZREM', KEYS.metered_owners, EACH.owner)
  elseif known < tonumber(ARGV.most_owners) then
    known = known + redis.call('ZADD', KEYS.metered_owners, 'NX', now, EACH.owner)
  end
end
redis.call('PEXPIRE', KEYS.metered_owners, ARGV.lifetime)
return redis.call('ZRANGE', KEYS.metered_owners, 0, -1)
