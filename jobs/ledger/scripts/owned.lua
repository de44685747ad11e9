-- Included by conclude.lua, which has the `leaving` jobs: what an end takes from the unfinished work of the owner (limits.lua).
--
-- A submit writes for each job of a named owner what it counted, and an end counts back exactly that, once: whoever ends
-- the job, how often the end is sent, and whatever its payload holds by then.
--@key owned
--@arg owners

local function settle_owners()
  local less, known, counted = {}, {}, {}
  for first = 1, #leaving, 4000 do
    local last = math.min(first + 3999, #leaving)
    local entries = redis.pcall('HMGET', KEYS.owned, unpack(leaving, first, last))
    if entries.err then return end           -- another program's data must not keep a job from ending
    for i = 1, last - first + 1 do
      local inputs, bytes, owner = string.match(entries[i] or '', '^(%d+) (%d+) (.+)$')
      local id = leaving[first + i - 1]
      if entries[i] then known[#known + 1] = id end
      if owner and not counted[id] then
        counted[id] = true
        local sum = less[owner] or {0, 0, 0}
        less[owner] = {sum[1] + 1, sum[2] + inputs, sum[3] + bytes}
      end
    end
  end
  many('HDEL', KEYS.owned, known)
  for owner, ended in pairs(less) do
    local key = ARGV.owners .. owner
    local held = redis.pcall('HMGET', key, 'jobs', 'inputs', 'bytes')
    local jobs = not held.err and whole(held[1], 0) - ended[1]
    if jobs and jobs <= 0 then redis.call('DEL', key)
    elseif jobs then
      redis.call('HSET', key, 'jobs', string.format('%d', jobs),
        'inputs', string.format('%d', math.max(0, whole(held[2], 0) - ended[2])),
        'bytes', string.format('%d', math.max(0, whole(held[3], 0) - ended[3])))
    end
  end
end
