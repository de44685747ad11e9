-- Included by the scripts that end a batch. It stays among the open ones until its parts are deleted.
--@key outbox
--@key batch_counts
--@arg owner
--@arg webhook  JSON: whom to tell, as in hooks/outbox.py
--@arg lifetime  of the record of an ended batch, ms

redis.call('XLEN', KEYS.outbox)              -- fails on another program's data, before anything is written
redis.call('HLEN', KEYS.batch_counts)
local function close(state)
  move(state)
  redis.call('HINCRBY', KEYS.batch_counts, state, 1)
  redis.call('PEXPIRE', KEYS.batch, ARGV.lifetime)
  local total, completed, failed = unpack(redis.call('HMGET', KEYS.batch, 'total', 'completed', 'failed'))
  local counts = {total = tonumber(total or 0), completed = tonumber(completed or 0), failed = tonumber(failed or 0)}
  local data = {id = ARGV.id, object = 'batch', status = state, request_counts = counts}
  redis.call('XADD', KEYS.outbox, '*', 'id', ARGV.id, 'event', 'batch.' .. state, 'owner', ARGV.owner, 'webhook', ARGV.webhook,
    'data', cjson.encode(data))
end
