-- Included by the scripts that read a job that has not ended: its state, atomically and without its inputs.
--@arg queue_prefix
--@arg waiting  prefix
--@each model  that the caller serves
--@include values.lua
--@include payload.lua
--@include outline.lua

-- Returns {number of inputs, creation or false, lease or false,
-- attempts, index of its model from 0, position among the waiting from 1 or 0, head of its progress or false, owner};
-- {1, owner} if it is a job of another model; {} if there is no such job.
local function state()
  local payload, fault = ARGV.payloads .. ARGV.id, nil
  for at = EACH.first, #ARGV, EACH.size do
    local queue = ARGV.queue_prefix .. EACH.model
    local score = redis.pcall('ZSCORE', queue, ARGV.id)
    if type(score) == 'string' then
      local inputs, created, owner = outline(payload)
      if not inputs then return {} end
      local place = 0
      if tonumber(score) < 1e15 then
        place = redis.call('ZRANK', queue, ARGV.id) + 1
      elseif tonumber(score) >= 2e15 then    -- among its owner's jobs
        local rank = redis.pcall('ZRANK', ARGV.waiting .. owner .. ':' .. EACH.model, ARGV.id)
        place = type(rank) == 'number' and rank + 1 or 0
      end
      local done = inputs > 1 and redis.pcall('LINDEX', ARGV.progress .. ARGV.id, 0)
      if type(done) ~= 'string' then done = false end
      local lease = peek('GET', ARGV.leases .. ARGV.id)
      if lease and not whole(string.sub(lease, 33), nil) then lease = nil end   -- another program's data
      local tries = whole(peek('GET', ARGV.attempts .. ARGV.id), 0)
      return {inputs, created or false, lease or false, tries, at - EACH.first, place, done, owner}
    end
    fault = score or fault                   -- that queue holds another program's data; the job may have been in it
  end
  if redis.call('EXISTS', payload) == 0 then return {} end
  if fault then return fault end
  local _, _, owner = outline(payload)
  return {1, owner or ''}                    -- in no queue of these models
end
