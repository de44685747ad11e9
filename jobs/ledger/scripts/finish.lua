#!lua flags=allow-oom
-- Ends the jobs of a batch, each only if its lease is still valid.
-- Returns the ids that were refused. A batch that is sent again because the answer was lost is not refused.
--@key queue
--@key bytes
--@key queued_inputs
--@include clock.lua
--@include codec.lua
--@include values.lua
--@include many.lua
--@include strings.lua
--@include counter.lua
--@include conclude.lua
--@arg model
--@each id token state
--@each head  of its record
--@each results
--@each terms  fields of its envelope for `conclude`, msgpack; '' if nothing is asked
--@each inputs  number of inputs

local function asked(terms)                   -- a stock client may have sent what cannot be decoded here
  if terms == '' then return NOTHING end
  local ok, k = pcall(cmsgpack.unpack, terms)
  return ok and type(k) == 'table' and k or NOTHING
end

redis.call('ZCARD', KEYS.queue)              -- fails on another program's data before the script writes
counters(KEYS.bytes, KEYS.queued_inputs)

local ids, refused = {}, {}
for at = EACH.first, #ARGV, EACH.size do ids[#ids + 1] = EACH.id end
local leases = strings(ARGV.leases, ids)
for at = EACH.first, #ARGV, EACH.size do
  local id, head = EACH.id, EACH.head
  local lease = leases[(at - EACH.first) / EACH.size + 1]
  if lease and string.sub(lease, 1, 32) == EACH.token then
    conclude(id, EACH.state, head, EACH.results, asked(EACH.terms), whole(EACH.inputs, 1), true)
  else
    local written = peek('GETRANGE', ARGV.results .. id, 9, -1)
    if written ~= head .. EACH.results then refused[#refused + 1] = id end
  end
end
settle(KEYS.queue, nil, KEYS.bytes, KEYS.queued_inputs, ARGV.model)   -- none has a deadline: the claim removed it
return refused
