-- Included by the scripts that put jobs of named owners in line, after clock.lua and many.lua. Each owner's waiting jobs of
-- a model have their own order; in the queue itself they have scores from PARKED on. An owner with waiting jobs is in
-- `turns`, with its virtual start time (claim.lua).
--@key queue
--@key turns
--@key shares
--@arg waiting  prefix

local FARTHEST = 1e15                        -- virtual times begin again there: larger sums would lose small jobs
local lines = {}                             -- owner -> {score, id, ...}
local damages = {}                           -- owner -> key, or false

local function line_of(owner, model) return ARGV.waiting .. owner .. ':' .. model end

local function park(owner, score, id)        -- puts the job in its owner's line, once `settle_lines` is called
  local line = lines[owner] or {}
  lines[owner], line[#line + 1], line[#line + 2] = line, score, id
end

local function virtual(text)                 -- a virtual time; nil for another program's data
  local time = tonumber(text)
  return time and time >= 0 and time < FARTHEST and time or nil
end

-- The first key of the owner's place that holds another program's data; false if none does.
local function damage_of(owner, model)
  if damages[owner] == nil then
    damages[owner] = false
    for _, key in ipairs({line_of(owner, model), KEYS.turns}) do
      if type(redis.pcall('ZCARD', key)) ~= 'number' then damages[owner] = key end
    end
  end
  return damages[owner]
end

local function enter(owner)                  -- an owner that was idle has no claim to the time since then
  if redis.call('ZSCORE', KEYS.turns, owner) then return end
  local first = redis.call('ZRANGE', KEYS.turns, 0, 0, 'WITHSCORES')[2]
  local marks = redis.pcall('HMGET', KEYS.shares, ':now', owner)   -- an error has no times
  local start = math.max(virtual(marks[1]) or virtual(first) or 0, virtual(marks[2]) or 0)
  redis.call('ZADD', KEYS.turns, string.format('%.17g', start), owner)
end

local function settle_lines(model)
  for owner, line in pairs(lines) do
    if damage_of(owner, model) then          -- then its jobs wait with those of the anonymous owner
      many('ZADD', KEYS.queue, line)
    else
      many('ZADD', line_of(owner, model), line)
      for i = 1, #line, 2 do line[i] = string.format('%.17g', PARKED + line[i]) end
      many('ZADD', KEYS.queue, line)
      enter(owner)
    end
  end
end
