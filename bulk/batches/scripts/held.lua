-- Included by the runner's scripts: refuses a runner that does not hold the lease.
--@arg token  of the lease

local status, token = unpack(redis.call('HMGET', KEYS.batch, 'status', 'token'))
if token ~= ARGV.token then return {'lost'} end
