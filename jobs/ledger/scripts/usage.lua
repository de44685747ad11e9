-- Included by conclude.lua: counts what the ended jobs of named owners used, by owner, model and hour (jobs/monitoring/usage.py).
-- Jobs of the anonymous owner are not counted and cost nothing here.
--@key usage_owners
--@arg usage  prefix of the hours of an owner
--@arg usage_totals  prefix

local HOUR, KEPT = 3600000, 7776000000       -- ms; 90 days
local used = {}                              -- owner -> counter -> number

--@include owner_name.lua

-- k: as for `conclude`. Its `usage` is what a worker reports: inputs, failed inputs, tokens, microseconds of the engine.
local function charge(k, state)
  local counts = used[k.owner] or {}
  used[k.owner] = counts
  counts[state] = (counts[state] or 0) + 1
  local spent = type(k.usage) == 'table' and k.usage or {}
  for i, counter in ipairs({'inputs', 'failed_inputs', 'tokens', 'compute_us'}) do
    local number = whole(spent[i], 0)
    if number > 0 then counts[counter] = (counts[counter] or 0) + number end
  end
end

local function add(key, model, counts)       -- pcall: another program's data there must not keep jobs from ending
  local fields, sums = {}, {}
  for counter in pairs(counts) do fields[#fields + 1] = model .. ':' .. counter end
  local known = redis.pcall('HMGET', key, unpack(fields))   -- one command, where HINCRBY would be one for each counter
  if known.err then return end
  for i, field in ipairs(fields) do
    local counter = string.sub(field, #model + 2)
    sums[#sums + 1], sums[#sums + 2] = field, string.format('%.0f', whole(known[i], 0) + counts[counter])
  end
  redis.call('HSET', key, unpack(sums))
  redis.call('PEXPIRE', key, KEPT)
end

local function write_usage(model)            -- a few commands for each owner, however many jobs ended
  for i = 1, #owed, 2 do if name_of(owed[i].owner) ~= '' then charge(owed[i], owed[i + 1]) end end
  if not next(used) then return end
  local hour = math.floor(now / HOUR)
  for owner, counts in pairs(used) do
    add(ARGV.usage .. owner .. ':' .. hour, model, counts)
    -- totals only exist for the owners that a scrape has seen, and for all others together (owner_metrics.py)
    for _, name in ipairs({owner, '_other'}) do
      if redis.call('EXISTS', ARGV.usage_totals .. name) == 1 then
        add(ARGV.usage_totals .. name, model, counts)
        break
      end
    end
    redis.pcall('ZADD', KEYS.usage_owners, hour, owner)
  end
  redis.pcall('ZREMRANGEBYSCORE', KEYS.usage_owners, '-inf', hour - KEPT / HOUR)
  redis.pcall('PEXPIRE', KEYS.usage_owners, KEPT)
end
