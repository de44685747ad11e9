#!lua flags=allow-oom
-- Notes how a try of a delivery ended. Returns 1, or 0 if that is known already: another sender has ended it.
--@key hosts
--@include clock.lua
--@key counts
--@arg id
--@arg owner
--@arg host  of the try
--@arg deliveries  prefix
--@arg due  prefix
--@arg logs  prefix
--@arg undeliverable  prefix
--@arg outcome  delivered, undeliverable, or failed: it is tried again
--@arg tried  a line for its log
--@arg wait  ms until the next try
--@arg kept  ms
--@arg most_undeliverable  of one owner

local key = ARGV.deliveries .. ARGV.id
local state, host = unpack(redis.call('HMGET', key, 'state', 'host'))
host = host or ARGV.host                       -- it may have been redirected during the try
local due = ARGV.due .. host
local over = state ~= 'pending' and (ARGV.outcome ~= 'delivered' or state ~= 'undeliverable')
if not over then
  local tried = redis.call('HGET', key, 'tried') or ''
  if #tried > 6000 then tried = string.sub(tried, string.find(tried, '\n', 1, true) + 1) end
  redis.call('HSET', key, 'tried', tried .. ARGV.tried .. '\n', 'state', ARGV.outcome == 'failed' and 'pending' or ARGV.outcome)
  redis.call('HINCRBY', key, 'round', 1)
  redis.pcall('HINCRBY', KEYS.counts, ARGV.outcome, 1)
end
if ARGV.outcome == 'failed' and not over then
  redis.call('HSET', key, 'next', now + ARGV.wait)
  redis.call('ZADD', due, now + ARGV.wait, ARGV.id)
else
  redis.call('ZREM', due, ARGV.id)
end
if not over and ARGV.outcome ~= 'failed' then
  local list = ARGV.undeliverable .. ARGV.owner
  redis.call('HDEL', key, 'next')
  redis.call('PEXPIRE', key, ARGV.kept)
  if ARGV.outcome == 'undeliverable' then    -- pcall: another program's data must not keep the delivery from ending
    if type(redis.pcall('ZADD', list, now, ARGV.id)) == 'number' then
      redis.call('ZREMRANGEBYSCORE', list, '-inf', now - ARGV.kept)
      redis.call('PEXPIRE', list, ARGV.kept)
      for _, id in ipairs(redis.call('ZRANGE', list, 0, -1 - ARGV.most_undeliverable)) do
        redis.call('ZREM', list, id)
        redis.call('DEL', ARGV.deliveries .. id)
        redis.pcall('HINCRBY', KEYS.counts, 'dropped', 1)
      end
    end
  elseif state == 'undeliverable' then
    redis.pcall('ZREM', list, ARGV.id)
  end
  if ARGV.outcome == 'delivered' and not redis.pcall('ZSCORE', ARGV.logs .. ARGV.owner, ARGV.id) then
    redis.call('DEL', key)                   -- the log has newer ones, so nobody can find it (put_deliveries.lua)
  end
end
local first = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')
if first[2] then redis.call('ZADD', KEYS.hosts, first[2], host) else redis.call('ZREM', KEYS.hosts, host) end
return over and 0 or 1
