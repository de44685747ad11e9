-- Included by the scripts that change a batch.
--@key batch

local function progressed()                  -- so the next runner that is lost is the first one again
  redis.call('HDEL', KEYS.batch, 'lost', 'lost_by')
end

local function move(status)                  -- to the status, with the time of the transition
  redis.call('HSET', KEYS.batch, 'status', status, status .. '_at', string.format('%d', now))
  progressed()
end
