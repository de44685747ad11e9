#!lua
-- Writes deliveries that are not known yet, due at once. Called again with the same ones, it changes nothing.
-- Returns how many are new.
--@key hosts
--@include clock.lua
--@arg deliveries  prefix
--@arg due  prefix
--@arg logs  prefix
--@arg kept  ms for which a log is kept
--@arg most_logged
--@each id
--@each owner
--@each host
--@each fields  of its hash, msgpack list of names and values

local new = 0
local logs = {}
for at = EACH.first, #ARGV, EACH.size do
  local key = ARGV.deliveries .. EACH.id
  if redis.call('EXISTS', key) == 0 then
    -- first what fails on another program's data: the caller tries again
    redis.call('ZADD', KEYS.hosts, 'LT', now, EACH.host)
    redis.call('ZADD', ARGV.due .. EACH.host, now, EACH.id)
    redis.call('HSET', key, 'created', now, 'since', now, 'next', now, 'state', 'pending', 'owner', EACH.owner,
      'host', EACH.host, 'round', 0, unpack(cmsgpack.unpack(EACH.fields)))
    local log = ARGV.logs .. EACH.owner
    if type(redis.pcall('ZADD', log, now, EACH.id)) == 'number' then logs[log] = true end
    new = new + 1
  end
end
for log in pairs(logs) do
  local more = redis.call('ZCARD', log) - ARGV.most_logged
  if more > 0 then                           -- a delivery that is not listed is only needed until it has ended
    for _, id in ipairs(redis.call('ZRANGE', log, 0, math.min(more, 1000) - 1)) do
      redis.call('ZREM', log, id)
      if redis.call('HGET', ARGV.deliveries .. id, 'state') == 'delivered' then redis.call('DEL', ARGV.deliveries .. id) end
    end
  end
  redis.call('PEXPIRE', log, ARGV.kept)
end
return new
