#!lua flags=allow-oom
-- Leases an open batch that no runner holds to a runner: of the owner with the fewest leased ones, the one that has waited
-- longest. Returns {id, record, 1 if another runner held it before}, or {} if there is none.
--@include clock.lua
--@key open_batches
--@arg batches  prefix of the keys of records
--@arg token
--@arg lease  ms
--@arg most  batches that are looked at

local function owner_of(member) return string.match(member, '^(.*):') end

local leased = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS.open_batches, '(' .. now, '+inf', 'LIMIT', 0, ARGV.most)) do
  local owner = owner_of(member)
  leased[owner] = (leased[owner] or 0) + 1
end
local chosen, fewest
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS.open_batches, '-inf', now, 'LIMIT', 0, ARGV.most)) do
  local count = leased[owner_of(member)] or 0
  if not fewest or count < fewest then
    if redis.call('EXISTS', ARGV.batches .. string.match(member, '[^:]*$')) == 1 then
      chosen, fewest = member, count
    else
      redis.call('ZREM', KEYS.open_batches, member)   -- another program has deleted its record
    end
  end
end
if not chosen then return {} end
local id = string.match(chosen, '[^:]*$')
local batch = ARGV.batches .. id
local held = redis.call('HEXISTS', batch, 'token')
redis.call('HSET', batch, 'token', ARGV.token)
redis.call('ZADD', KEYS.open_batches, now + ARGV.lease, chosen)
return {id, redis.call('HGETALL', batch), held}
