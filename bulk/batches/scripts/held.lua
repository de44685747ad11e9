-- Included by the runner's scripts: refuses a runner that does not hold the lease.
--@arg token  of the lease

local status, token, lost_by = unpack(redis.call('HMGET', KEYS.batch, 'status', 'token', 'lost_by'))
if token ~= ARGV.token then
  if lost_by == ARGV.token then              -- this runner lives: Redis was away, or the process was stopped for a while
    redis.call('HINCRBY', KEYS.batch, 'lost', -1)
    redis.call('HDEL', KEYS.batch, 'lost_by')
  end
  return {'lost'}
end
