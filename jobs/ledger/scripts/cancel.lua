#!lua flags=allow-oom
-- Cancels a waiting or running job. A running batch continues, but its result is refused.
-- Returns the same as record_at; {} if there is no such job, or if it has not ended and is another owner's.
--@include clock.lua
--@include codec.lua
--@include values.lua
--@include payload.lua
--@include many.lua
--@include conclude.lua
--@include terminate.lua
--@include record.lua
--@arg id
--@arg most_bytes  of a record that is returned with its results
--@arg queue_prefix  of the keys of a model
--@arg waiting  prefix of the keys of an owner and a model
--@arg deadlines_prefix
--@arg bytes_prefix
--@arg sees  '=' and the owner whose jobs the caller may end, or '*' for all
--@arg inputs_prefix
--@each model  that the caller serves

local key = ARGV.results .. ARGV.id
local record = record_at(key, tonumber(ARGV.most_bytes))
if record then return record end
local fault
for at = EACH.first, #ARGV, EACH.size do
  local queue = ARGV.queue_prefix .. EACH.model
  local score = redis.pcall('ZSCORE', queue, ARGV.id)
  if type(score) == 'string' then
    if ARGV.sees ~= '*' then
--@include outline.lua
      local _, _, owner = outline(ARGV.payloads .. ARGV.id)
      if '=' .. (owner or '') ~= ARGV.sees then return {} end
    end
    terminate(ARGV.id, EACH.model, 'cancelled')
    settle(queue, ARGV.deadlines_prefix .. EACH.model, ARGV.bytes_prefix .. EACH.model, ARGV.inputs_prefix .. EACH.model,
      EACH.model)
    return {redis.call('GET', key)}
  end
  fault = score or fault                     -- that queue holds another program's data; the job may have been in it
end
return redis.call('EXISTS', ARGV.payloads .. ARGV.id) == 1 and fault or {}
