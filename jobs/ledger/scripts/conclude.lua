-- Included by the scripts that end jobs: every job ends here. `conclude` ends one; `settle` then writes what is the same
-- for all jobs of a queue.
--@include job_keys.lua
--@include notify.lua
--@key abort
--@key outbox
--@arg groups  prefix
--@arg media  prefixes of the keys of jobs
--@arg files
--@arg partials
--@arg result_ttl  ms
--@arg inline  most bytes of a record that is sent in the message

local ended, gone, freed, freed_inputs = {}, {}, 0, 0
local forgotten = {}                         -- ids that `forget` has seen: their payloads are only deleted by `settle`
local leaving, owed = {}, {}                 -- for owned.lua: ids; for usage.lua: `k` and `state`
local aborting = redis.call('ZCARD', KEYS.abort) > 0
redis.call('XLEN', KEYS.outbox)              -- fails on another program's data, before anything is written
local NOTHING = {}
local LONGEST = 2592000000                   -- ms, 30 days

-- Deletes the payload, or keeps it for so many ms. `claimed`: a claim has counted it, whoever enqueued it. `beside`: bytes of
-- the media beside it, which share its fate; nil if there are none.
local function forget(id, inputs, lifetime, claimed, beside)
  local payload = ARGV.payloads .. id
  if forgotten[id] then return end
  forgotten[id] = true
  local size = redis.pcall('STRLEN', payload)
  if claimed or redis.call('PTTL', payload) == -1 then   -- one with a lifetime was never counted
    freed, freed_inputs = freed + (tonumber(size) or 0) + (beside or 0), freed_inputs + inputs
  end
  if beside and lifetime then redis.call('PEXPIRE', ARGV.media .. id, lifetime)
  elseif beside then gone[#gone + 1] = ARGV.media .. id end
  if type(size) ~= 'number' then return end  -- another program's data, not deleted
  if lifetime then redis.call('PEXPIRE', payload, lifetime) else gone[#gone + 1] = payload end
end

-- k: the job's envelope, or the fields of it that are used here. head and results: as in jobs/ledger/records.py
local function conclude(id, state, head, results, k, inputs, claimed)
  local record = '\193' .. struct.pack('>I8', now) .. head .. results
  local seconds = tonumber(k.result_ttl)       -- unchecked: a stock client may write anything
  local lifetime = seconds and seconds > 0 and math.min(math.ceil(seconds * 1000), LONGEST) or ARGV.result_ttl
  redis.call('SET', ARGV.results .. id, record, 'PX', lifetime)
  forget(id, inputs, k.keep_inputs and lifetime, claimed, k.media and whole(k.media, 0))
  if k.owner or not claimed then leaving[#leaving + 1] = id end   -- a claimed job's envelope comes from its worker
  ended[#ended + 1] = id
  local n = #gone
  gone[n + 1], gone[n + 2], gone[n + 3] = ARGV.leases .. id, ARGV.attempts .. id, ARGV.progress .. id
  if k.files then redis.call('PEXPIRE', ARGV.files .. id, lifetime)   -- nil for a job that cannot have any
  elseif k.files == false then gone[n + 4] = ARGV.files .. id end

  if k.stream then redis.call('PEXPIRE', ARGV.partials .. id, math.min(lifetime, 60000)) end   -- for readers that are late

  if k.webhook then                          -- with the record's start: the record may be gone before the event is built
    redis.call('XADD', KEYS.outbox, '*', 'id', id, 'state', state, 'webhook', cmsgpack.pack(k.webhook),
      'record', string.sub(record, 1, #record - #results))
  end
  if type(k.group) == 'string' then          -- pcall: another program's data there must not keep the job from ending
    redis.pcall('HINCRBY', ARGV.groups .. k.group, state, 1)
    redis.pcall('PEXPIRE', ARGV.groups .. k.group, LONGEST)
  end
  if k.owner then owed[#owed + 1], owed[#owed + 2] = k, state end
  tell(id, state, #record <= tonumber(ARGV.inline) and record or nil, true)
end

local function settle(queue, deadlines, bytes, inputs, model)
  if #ended > 0 then
    many('ZREM', queue, ended)
    if deadlines then many('ZREM', deadlines, ended) end
    if aborting then many('ZREM', KEYS.abort, ended) end
  end
  for i = 1, #gone, 4000 do redis.call('DEL', unpack(gone, i, math.min(i + 3999, #gone))) end
  if freed > 0 then redis.call('DECRBY', bytes, freed) end
  if freed_inputs > 0 then                   -- jobs of an older release were not counted; pcall: foreign data, as above
    local left = redis.pcall('DECRBY', inputs, freed_inputs)
    if type(left) == 'number' and left < 0 then redis.call('SET', inputs, '0') end
  end
  if #leaving > 0 then                       -- what only named owners need costs others nothing, not even its functions
--@include owned.lua
    settle_owners()
  end
  if #owed > 0 then
--@include usage.lua
    write_usage(model)
  end
  publish()
end
