-- Included by the scripts that change when an open batch may be taken.
--@key open_owners

local function place(batches, owner, id, at)   -- at: the end of its lease, or since when it waits; nil: nothing is left to do
  if at then redis.call('ZADD', batches, at, id) else redis.call('ZREM', batches, id) end
  local earliest = redis.call('ZRANGE', batches, 0, 0, 'WITHSCORES')[2]
  if earliest then
    redis.call('ZADD', KEYS.open_owners, earliest, owner)
  else
    redis.call('ZREM', KEYS.open_owners, owner)
  end
end
