-- Included by the scripts that write msgpack: just enough of an encoder, and the clock.
-- Strings that come from Python are already encoded; only what Redis alone knows is added here.

local RUNNING = 1e15                         -- keys.RUNNING

local function clock()                       -- Unix ms by the server's clock, the only clock that counts
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function str(s)
  if #s < 256 then return '\217' .. string.char(#s) .. s end
  return '\218' .. struct.pack('>I2', #s) .. s
end

local function uint(n) return '\207' .. struct.pack('>I8', n) end

local function event(id, state, record)      -- [id, state, record or nil]
  local carried = record and '\198' .. struct.pack('>I4', #record) .. record or '\192'
  return '\147' .. str(id) .. str(state) .. carried
end

local function whole(value, otherwise)       -- a number that a stock client's payload claims, if it is one
  local n = tonumber(value)
  return n and n >= 0 and n < 2^53 and math.floor(n) or otherwise
end

-- What `submit` wrote begins so (wire.Payload): the extras can be read without the inputs behind them.
local OURS = '\133\161t\192\161f\165infer\161k'

local function is_ours(head) return string.sub(head, 1, #OURS) == OURS end

local function extras(payload)               -- the keywords and the creation time; {} and nil where unreadable
  if is_ours(payload) then
    local _, k = cmsgpack.unpack_one(payload, #OURS)
    return k, struct.unpack('>I8', string.sub(payload, -8))
  end
  local ok, _, job = pcall(cmsgpack.unpack_one, payload)
  if not ok or type(job) ~= 'table' then return {} end
  local k = type(job.k) == 'table' and job.k or {}
  local inputs = type(job.a) == 'table' and job.a[1]
  k.n = type(inputs) == 'table' and math.max(1, #inputs) or 1
  return k, whole(job.et, nil)
end

-- The two below read a payload where it is, and only its ends where that is enough: inputs may be many MB.

local HEAD = 4096                            -- bytes; as a rule all keywords are in them

local function extras_at(key)                -- as `extras` of the payload under the key
  local head = redis.call('GETRANGE', key, 0, HEAD - 1)
  if #head < HEAD then return extras(head) end
  if is_ours(head) then
    local ok, _, k = pcall(cmsgpack.unpack_one, head, #OURS)
    if ok then return k, struct.unpack('>I8', redis.call('GETRANGE', key, -8, -1)) end
  end
  return extras(redis.call('GET', key))
end

local function inputs_from(head)             -- inputs of a payload by its first bytes; nil where they do not say
  if is_ours(head) then                      -- after the header of the keywords: `n` goes first
    local at = #OURS + 1
    if string.sub(head, at + 1, at + 2) ~= '\161n' then return nil end
    local _, n = cmsgpack.unpack_one(head, at + 2)
    return whole(n, 1)
  end
  if string.sub(head, 1, 3) ~= '\133\161t' then return nil end   -- arq's own order: t, f, a, k, et
  local at = cmsgpack.unpack_one(head, 3)
  if string.sub(head, at + 1, at + 2) ~= '\161f' then return nil end
  at = cmsgpack.unpack_one(head, at + 2)
  local args, first, a, b, c, d = string.byte(head, at + 3, at + 8)
  if string.sub(head, at + 1, at + 2) ~= '\161a' or args <= 144 or args > 159 then return nil end
  local n = 1
  if first >= 144 and first <= 159 then n = first - 144
  elseif first == 220 then n = a * 256 + b
  elseif first == 221 then n = ((a * 256 + b) * 256 + c) * 256 + d end
  return math.max(1, n)
end

local function outline(key)                  -- inputs of the payload under the key, and its creation time or nil
  local head = redis.call('GETRANGE', key, 0, 255)
  if #head == 256 then
    local tail = redis.call('GETRANGE', key, -12, -1)
    local ok, n = pcall(inputs_from, head)
    if ok and n and string.sub(tail, 1, 4) == '\162et\207' then return n, struct.unpack('>I8', string.sub(tail, 5)) end
    head = redis.call('GET', key)
  end
  local k, created = extras(head)
  return whole(k.n, 1), created
end

local function many(command, key, args)      -- one call for many members, or a few: Lua's stack is small
  for i = 1, #args, 4000 do
    redis.call(command, key, unpack(args, i, math.min(i + 3999, #args)))
  end
end

local function ring(doorbell, jobs)          -- wakes as many workers as there are jobs, 16 at most
  for _ = redis.call('LLEN', doorbell) + 1, math.min(jobs, 16) do redis.call('LPUSH', doorbell, '1') end
  redis.call('PEXPIRE', doorbell, 60000)
end

local function publish(channel, events)
  if #events > 0 then
    redis.call('PUBLISH', channel, '\221' .. struct.pack('>I4', #events) .. table.concat(events))
  end
end
