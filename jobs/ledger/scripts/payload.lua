-- Included by the scripts that read a payload (wire.Payload), ours or a stock client's. A job's keys may hold another
-- program's data; nothing here raises because of that, so that other jobs continue.

local function peek(...)                     -- runs a command that reads a string; nil if there is none
  local answer = redis.pcall(...)
  return type(answer) == 'string' and answer or nil
end

local function whole(value, otherwise)       -- a whole number from a stock client's payload, or `otherwise`
  local n = tonumber(value)
  return n and n >= 0 and n < 2^53 and math.floor(n) or otherwise
end

-- Payloads that `submit` wrote start with this (wire.Payload), so the envelope can be read without the inputs after it.
-- Payloads of a newer release with another start are read completely.
local OURS = '\133\161t\192\161f\165infer\161k'

local function is_ours(head) return string.sub(head, 1, #OURS) == OURS end

local function keywords(head)                -- of one of our payloads; nil if they are invalid or truncated
  local ok, _, k = pcall(cmsgpack.unpack_one, head, #OURS)
  return ok and type(k) == 'table' and k or nil
end

local function stamp(bytes) return whole(struct.unpack('>I8', bytes), nil) end

local function extras(payload)               -- the keywords and the creation time; {} and nil if unreadable
  if is_ours(payload) then
    local k = keywords(payload)
    if not k then return {} end
    return k, stamp(string.sub(payload, -8))
  end
  local ok, _, job = pcall(cmsgpack.unpack_one, payload)
  if not ok or type(job) ~= 'table' then return {} end
  local k = type(job.k) == 'table' and job.k or {}
  local inputs = type(job.a) == 'table' and job.a[1]
  k.n = type(inputs) == 'table' and math.max(1, #inputs) or 1
  return k, whole(job.et, nil)
end

-- The functions below read only the first and last bytes of a payload if that is enough: inputs may be many MB.

local HEAD = 4096                            -- bytes; usually contain all keywords

local function extras_at(key)                -- like `extras`, for the payload in the key
  local head = peek('GETRANGE', key, 0, HEAD - 1) or ''
  if #head < HEAD then return extras(head) end
  local k = is_ours(head) and keywords(head)
  if k then return k, stamp(redis.call('GETRANGE', key, -8, -1)) end
  return extras(redis.call('GET', key))
end

local function terms_at(key)                 -- the keywords of one of our payloads, however long; {} for any other
  local size = 4096
  repeat
    local head = peek('GETRANGE', key, 0, size - 1) or ''
    if not is_ours(head) then return {} end
    local k = keywords(head)
    if k then return k end
    size = size * 16
  until #head < size / 16                    -- the payload ended and is not readable
  return {}
end

local function inputs_from(head)             -- number of inputs, from a payload's first bytes; nil if not in them
  if is_ours(head) then                      -- `n` is first, after the header of the envelope
    local at = #OURS + (string.byte(head, #OURS + 1) == 222 and 3 or 1)   -- with more than 15 fields, or fewer
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

local function outline(key)                  -- number of inputs of the key's payload, and its creation time or nil;
  local head = peek('GETRANGE', key, 0, 255)   -- nil if there is no payload
  if not head or head == '' then return nil end
  local tail = #head < 256 and string.sub(head, -12) or redis.call('GETRANGE', key, -12, -1)
  local ok, n = pcall(inputs_from, head)
  if ok and n and string.sub(tail, 1, 4) == '\162et\207' then return n, stamp(string.sub(tail, 5)) end
  local k, created = extras(#head < 256 and head or redis.call('GET', key))
  return whole(k.n, 1), created
end
