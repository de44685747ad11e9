#!lua flags=allow-oom
-- Leases an open batch that no runner holds to a runner: of the owner with the fewest leased ones, the one that has waited
-- longest. Returns {id, record, 1 if another runner held it before}, or {} if there is none.
--@include clock.lua
--@include open.lua
--@key batch_states
--@arg open_prefix  of the keys of owners' open batches
--@arg batches  prefix of the keys of records
--@arg token
--@arg lease  ms

local STEP = 100
local owner, fewest, first = nil, nil, 0
repeat                                       -- few owners have leased batches, so one without is soon found
  local owners = redis.call('ZRANGEBYSCORE', KEYS.open_owners, '-inf', now, 'LIMIT', first, STEP)
  for _, each in ipairs(owners) do
    local leased = redis.call('ZCOUNT', ARGV.open_prefix .. each, '(' .. now, '+inf')
    if not fewest or leased < fewest then owner, fewest = each, leased end
  end
  first = first + STEP
until fewest == 0 or #owners < STEP
if not owner then return {} end
local open = ARGV.open_prefix .. owner
while true do
  local id = redis.call('ZRANGEBYSCORE', open, '-inf', now, 'LIMIT', 0, 1)[1]
  if not id then return {} end
  local batch = ARGV.batches .. id
  if redis.call('EXISTS', batch) == 1 then
    local before = redis.call('HGET', batch, 'token')
    if before then                           -- its runner is lost, unless it comes back: held.lua
      redis.call('HINCRBY', batch, 'lost', 1)
      redis.call('HSET', batch, 'lost_by', before)
    end
    redis.call('HSET', batch, 'token', ARGV.token)
    place(open, owner, id, now + ARGV.lease)
    return {id, redis.call('HGETALL', batch), before and 1 or 0}
  end
  place(open, owner, id, nil)                -- another program has deleted its record, or its lifetime is over
  redis.call('ZREM', KEYS.batch_states, id)
end
