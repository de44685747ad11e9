-- Included by claim.lua, inside a block that only runs if jobs of named owners wait: the owners take turns.

local CHUNK = 32                             -- jobs of an owner that are read at once
local OWNERS = 128                           -- most that take turns in one claim: those with the lowest times
local anonymous = waiting > 0

-- Estimated tokens of a job without an owner, as `Task.work`: its payload has about 76 bytes besides the inputs.
local function estimate(count, size) return math.max(0, size - 76) / 4 + 2 * count end

local function tag_of(owner) return tonumber(redis.call('HGET', KEYS.shares, owner)) or 0 end

-- An owner's jobs, the most urgent first. `key` is its line, or the queue for the anonymous owner.
local function flow(owner, tag)
  return {owner = owner, tag = tag, key = owner == '' and KEYS.queue or line_of(owner, ARGV.model), at = 1, skip = 0,
    jobs = {}, gone = {}}
end

local function next_job(from)                -- id and score; nil if there is none
  if from.at > #from.jobs then
    from.jobs = redis.call('ZRANGEBYSCORE', from.key, '-inf', now, 'WITHSCORES', 'LIMIT', from.skip, CHUNK)
    from.at = 1
    from.skip = from.skip + #from.jobs / 2
  end
  return from.jobs[from.at], from.jobs[from.at + 1]
end

local function claim_by_turns()
  local start = tag_of(':now')
  local found = redis.call('ZRANGE', KEYS.turns, 0, OWNERS - 1, 'WITHSCORES')
  if start == 0 then start = tonumber(found[2]) or 0 end
  local flows, served = {}, {}
  for i = 1, #found, 2 do flows[#flows + 1] = flow(found[i], tonumber(found[i + 1])) end
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
      local parked = turn.owner == '' or tonumber(redis.call('ZSCORE', KEYS.queue, id) or 0) >= PARKED
      if turn.owner ~= '' then turn.gone[#turn.gone + 1] = id end
      if parked then
        local count, envelope, size = take(id, score, turn.owner)
        if count == 'stays' then
          table.remove(turn.gone)
        else
          left = left - 1
        end
        if type(count) == 'number' then
          inputs, used = inputs + count, used + math.min(count, part)
          local work = whole(envelope.work, 0)
          if work == 0 then work = estimate(count, size) end
          local weight = tonumber(envelope.weight) or 1
          last = math.max(last, turn.tag)
          turn.tag = turn.tag + math.max(1, work) / (weight > 0 and weight or 1)
          turn.moved = true
        end
      end
    end
  end

  local latest = start
  for _, turn in ipairs(served) do
    local tag = string.format('%.17g', turn.tag)
    latest = math.max(latest, turn.tag)
    if turn.moved then redis.call('HSET', KEYS.shares, turn.owner, tag) end
    if turn.owner ~= '' then
      many('ZREM', turn.key, turn.gone)
      if redis.call('EXISTS', turn.key) == 0 then
        redis.call('ZREM', KEYS.turns, turn.owner)
      elseif turn.moved then
        redis.call('ZADD', KEYS.turns, tag, turn.owner)
      end
    end
  end
  -- virtual time: the start of the last turn, or the end of all if nobody waits
  redis.call('HSET', KEYS.shares, ':now', string.format('%.17g', left == 0 and latest or last))
  redis.call('PEXPIRE', KEYS.shares, 3600000)
  answer[5] = redis.call('ZRANGE', KEYS.turns, 0, 63)
  if waiting > 0 then table.insert(answer[5], '') end
end
