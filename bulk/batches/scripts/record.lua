-- Included by the scripts that change a batch.
--@key batch

local function move(status)                  -- to the status, with the time of the transition
  redis.call('HSET', KEYS.batch, 'status', status, status .. '_at', string.format('%d', now))
end
