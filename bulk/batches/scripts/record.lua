-- Included by the scripts that change a batch.
--@key batch
--@key batch_states
--@arg id

local UNFINISHED = {validating = 0, in_progress = 1, finalizing = 2, cancelling = 3}   -- as in figures.py

redis.call('ZCARD', KEYS.batch_states)       -- fails on another program's data, before anything is written

local function note_state(status)            -- for the metrics
  local number = UNFINISHED[status]
  if number then
    redis.call('ZADD', KEYS.batch_states, number * 1e13 + redis.call('HGET', KEYS.batch, 'created_at'), ARGV.id)
  else
    redis.call('ZREM', KEYS.batch_states, ARGV.id)
  end
end

local function progressed()                  -- so the next runner that is lost is the first one again
  redis.call('HDEL', KEYS.batch, 'lost', 'lost_by')
end

local function move(status)                  -- to the status, with the time of the transition
  redis.call('HSET', KEYS.batch, 'status', status, status .. '_at', string.format('%d', now))
  note_state(status)
  progressed()
end
