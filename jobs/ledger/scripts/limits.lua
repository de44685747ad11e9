-- Included by submit.lua: the limits of a sender, checked and charged in the script that accepts its jobs.
--
-- Rates use the generic cell rate algorithm in its form of virtual scheduling (ITU-T I.371, annex A: the theoretical
-- arrival time). A rate is one number, the time at which all of its burst is available again. A charge of `cost` units
-- moves it by `cost` intervals, and is refused if it would then be more than a burst ahead of the server's clock.
--
-- `refusal` and `charge` are separate: a refused job changes nothing. All is written once, by `write_rates`.
--@key owned
--@arg owners  prefix of the keys of owners
--@arg rates  prefix of the keys of rates

local RATES = {                              -- name, limit, ms for which the limit holds
  {'requests', 'requests_per_second', 1000}, {'inputs', 'inputs_per_minute', 60000}, {'tokens', 'tokens_per_minute', 60000},
}
local HELD = {{'jobs', 'queued_jobs'}, {'inputs', 'queued_inputs'}, {'bytes', 'queued_bytes'}}   -- unfinished work
local EXACT = 0.001                          -- units by which sums of intervals may be rounded
local LONG = 86400000                        -- ms, the longest time to retry after

local rates, owners, holdings = {}, {}, {}   -- by key, by owner; id and work of the accepted jobs

local function usage(known, prefix, name, ...)   -- the numbers of a hash, read once; nil for another program's data
  if known[name] == nil then
    local found, fields = redis.pcall('HMGET', prefix .. name, ...), {...}
    known[name] = not found.err and {}
    for i, field in ipairs(found.err and {} or fields) do
      local number = tonumber(found[i]) or 0
      known[name][field] = number > 0 and number < 2^53 and number or 0   -- else another program's data
    end
  end
  return known[name] or nil
end

local function rates_of(sender) return usage(rates, ARGV.rates, sender.key, 'requests', 'inputs', 'tokens') end
local function work_of(sender) return usage(owners, ARGV.owners, sender.owner, 'jobs', 'inputs', 'bytes') end

local function interval(limit, window) return limit > 0 and window / limit or math.huge end

-- ms by which a rate is ahead of the clock: a burst at most, also after the clock was set back or the limit changed.
local function ahead(arrival, burst, step) return math.max(0, math.min((arrival or 0) - now, burst * step)) end

local function burst_of(i, limit) return i == 1 and math.max(limit, 1) or limit end   -- a request always counts as 1

-- The first reason why the sender's job is refused, or nil: {'limited', policy, ms to retry after or 0 if unknown},
-- {'never', policy} if the job alone is more than the limit, {'damaged', key}. `replay`: only the request is counted.
local function refusal(sender, size, replay)
  local arrivals, held = rates_of(sender), work_of(sender)
  if not arrivals then return {'damaged', ARGV.rates .. sender.key} end
  if not held then return {'damaged', ARGV.owners .. sender.owner} end
  local costs, late = {requests = 1, inputs = sender.inputs, tokens = sender.work}, nil
  for i = 1, replay and 1 or #RATES do
    local name, limit, window = RATES[i][1], sender[RATES[i][2]], RATES[i][3]
    if limit then
      local burst = burst_of(i, limit)
      if costs[name] > burst then return {'never', name} end
      local step = interval(limit, window)
      local wait = ahead(arrivals[name], burst, step) + costs[name] * step - burst * step
      -- inf - inf is no number: a limit of 0 refuses everything
      if limit <= 0 or wait > EXACT * step then
        wait = limit > 0 and math.min(math.ceil(wait), LONG) or LONG
        if not late or wait > late[3] then late = {'limited', name, wait} end
      end
    end
  end
  if late or replay then return late end
  local more = {jobs = 1, inputs = sender.inputs, bytes = size}
  for _, policy in ipairs(HELD) do
    local name, limit = policy[1], sender[policy[2]]
    if limit and more[name] > limit then return {'never', 'queued-' .. name} end
    if limit and held[name] + more[name] > limit then return {'limited', 'queued-' .. name, 0} end
  end
end

local function charge(sender, id, size)      -- without an id, a replay
  local arrivals = rates_of(sender)
  local costs = {requests = 1, inputs = id and sender.inputs or 0, tokens = id and sender.work or 0}
  for i, rate in ipairs(RATES) do
    local name, limit = rate[1], sender[rate[2]]
    if limit and costs[name] > 0 then
      local step = interval(limit, rate[3])
      arrivals[name] = now + ahead(arrivals[name], burst_of(i, limit), step) + costs[name] * step
      arrivals.charged = true
    end
  end
  if id then
    local held, n = work_of(sender), #holdings
    held.jobs, held.inputs, held.bytes = held.jobs + 1, held.inputs + sender.inputs, held.bytes + size
    held.charged = true
    holdings[n + 1], holdings[n + 2] = id, string.format('%d %d %s', sender.inputs, size, sender.owner)
  end
end

-- For each limit that the sender has, in the order of RATES and HELD: what is left of it, and the ms until there is more.
local function standing(sender)
  local arrivals, held, answer = rates_of(sender) or {}, work_of(sender) or {}, {}
  for i, rate in ipairs(RATES) do
    local name, limit, n = rate[1], sender[rate[2]], #answer
    if limit then
      local burst, step = burst_of(i, limit), interval(limit, rate[3])
      local free = limit > 0 and burst - ahead(arrivals[name], burst, step) / step or 0
      local whole_units = math.floor(free + EXACT)
      answer[n + 1] = math.max(0, whole_units)
      answer[n + 2] = whole_units < math.floor(burst) and math.min(math.ceil((whole_units + 1 - free) * step), LONG) or 0
    end
  end
  for _, policy in ipairs(HELD) do
    local limit, n = sender[policy[2]], #answer
    if limit then answer[n + 1], answer[n + 2] = math.max(0, limit - (held[policy[1]] or 0)), 0 end
  end
  return answer
end

local function write_rates()
  for key, arrivals in pairs(rates) do
    if arrivals and arrivals.charged then    -- once the last time has passed, the key says the same as none
      local last = math.max(arrivals.requests, arrivals.inputs, arrivals.tokens)
      redis.call('HSET', ARGV.rates .. key, 'requests', string.format('%.17g', arrivals.requests),
        'inputs', string.format('%.17g', arrivals.inputs), 'tokens', string.format('%.17g', arrivals.tokens))
      redis.call('PEXPIRE', ARGV.rates .. key, math.max(1, math.ceil(last - now)))
    end
  end
  for owner, held in pairs(owners) do
    if held and held.charged then
      redis.call('HSET', ARGV.owners .. owner, 'jobs', string.format('%d', held.jobs),
        'inputs', string.format('%d', held.inputs), 'bytes', string.format('%d', held.bytes))
    end
  end
  many('HSET', KEYS.owned, holdings)
end
