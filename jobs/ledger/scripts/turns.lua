-- Included by claim.lua, inside a block that only runs if jobs of named owners wait: the owners take turns.

local FEW, CHUNK = 2, 32                     -- jobs of an owner that are read at first, and then at once
local LEAST, MOST = 0.001, 1000              -- weights, as in jobs/owners.py
local OWNERS = 128                           -- most that take turns in one claim: those with the lowest times
local anonymous = waiting > 0

-- Estimated tokens of a job without an owner, as `Task.work`: its payload has about 76 bytes besides the inputs.
local function estimate(count, size) return math.max(0, size - 76) / 4 + 2 * count end

local function tag_of(owner) return virtual(peek('HGET', KEYS.shares, owner)) or 0 end

-- An owner's jobs, the most urgent first. `key` is its line, or the queue for the anonymous owner.
local function flow(owner, tag)
  return {owner = owner, tag = tag, key = owner == '' and KEYS.queue or line_of(owner, ARGV.model), at = 1, skip = 0,
    jobs = {}, gone = {}}
end

local function next_job(from)                -- id and score; nil if there is none
  if from.at > #from.jobs then
    local most = from.skip == 0 and FEW or CHUNK
    local found = redis.pcall('ZRANGEBYSCORE', from.key, '-inf', now, 'WITHSCORES', 'LIMIT', from.skip, most)
    from.jobs, from.at = found.err and NOTHING or found, 1   -- another program's data must not keep others waiting
    from.skip = from.skip + #from.jobs / 2
  end
  return from.jobs[from.at], from.jobs[from.at + 1]
end

local function claim_by_turns()
  local start = tag_of(':now')
  local found = redis.call('ZRANGE', KEYS.turns, 0, OWNERS - 1, 'WITHSCORES')
  if start == 0 then start = virtual(found[2]) or 0 end
  local flows, served, met = {}, {}, {}
  for i = 1, #found, 2 do flows[#flows + 1] = flow(found[i], virtual(found[i + 1]) or start) end
  if anonymous then flows[#flows + 1] = flow('', math.max(start, tag_of(''))) end
  local part = math.max(1, math.ceil(enough / math.max(1, #flows)))   -- inputs of one job that count, so that a large
  local used, last = 0, start                -- one leaves room for others: its inputs take turns in the worker's window

  local function close(at) served[#served + 1] = table.remove(flows, at) end

  while #flows > 0 do
    local at = 1
    for i = 2, #flows do if flows[i].tag < flows[at].tag then at = i end end
    local turn = flows[at]
    local id, score = next_job(turn)
    local limit = before[turn.owner]
    if not id then
      close(at)
    elseif limit and tonumber(score) >= limit then
      head = math.min(head or math.huge, tonumber(score))
      close(at)
    elseif #ids > 0 and (used >= math.min(enough, share) or bytes >= full) or #ids >= most then
      head = math.min(head or math.huge, tonumber(score))
      close(at)
    else
      turn.at = turn.at + 2
      local parked = not met[id] and (turn.owner == '' or tonumber(redis.call('ZSCORE', KEYS.queue, id) or 0) >= PARKED)
      if turn.owner ~= '' then turn.gone[#turn.gone + 1] = id end
      if parked then
        met[id] = true                       -- another program may have put it in two lines
        local count, envelope, size = take(id, score, turn.owner)
        if count == 'stays' then
          table.remove(turn.gone)
        else
          left = left - 1
        end
        if type(count) == 'number' then
          inputs, used = inputs + count, used + math.min(count, part)
          local work, weight = 0, 1          -- what stock clients say of these is not used
          if turn.owner ~= '' then work, weight = whole(envelope.work, 0), tonumber(envelope.weight) or 1 end
          if work == 0 then work = estimate(count, size) end
          last = math.max(last, turn.tag)
          turn.tag = turn.tag + math.max(1, work) / (weight > 0 and math.max(LEAST, math.min(weight, MOST)) or 1)
          turn.moved = true
        end
      end
    end
  end

  local latest, marks = start, {}
  for _, turn in ipairs(served) do
    local tag = turn.moved and string.format('%.17g', turn.tag)
    latest = math.max(latest, turn.tag)
    if tag then marks[#marks + 1], marks[#marks + 2] = turn.owner, tag end
    if turn.owner ~= '' then
      many('ZREM', turn.key, turn.gone)
      if (#turn.gone > 0 or turn.skip == 0) and redis.call('EXISTS', turn.key) == 0 then
        redis.call('ZREM', KEYS.turns, turn.owner)
      elseif tag then
        redis.call('ZADD', KEYS.turns, tag, turn.owner)
      end
    end
  end
  -- virtual time: the start of the last turn, or the end of all if nobody waits
  marks[#marks + 1], marks[#marks + 2] = ':now', string.format('%.17g', left == 0 and latest or last)
  if type(redis.pcall('HSET', KEYS.shares, unpack(marks))) == 'number' then
    redis.call('PEXPIRE', KEYS.shares, 3600000)
  end
  answer[5] = redis.call('ZRANGE', KEYS.turns, 0, 63)
  if waiting > 0 then table.insert(answer[5], '') end
end
