-- Included by the scripts that read only the first and last bytes of a payload if that is enough: inputs may be many MB.
-- They include payload.lua too.

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

--@include owner_name.lua

local function first_fields(head)            -- number of inputs and owner, from the first bytes of one of our payloads;
  local at = #OURS + (string.byte(head, #OURS + 1) == 222 and 3 or 1)   -- nil if not in them. 222: more than 15 fields
  if string.sub(head, at + 1, at + 2) ~= '\161n' then return nil end
  local after, n = cmsgpack.unpack_one(head, at + 2)
  if string.sub(head, after + 1, after + 9) == '\168priority' then return whole(n, 1), '' end
  if string.sub(head, after + 1, after + 6) ~= '\165owner' then return nil end   -- perhaps at another place
  local _, owner = cmsgpack.unpack_one(head, after + 6)
  return whole(n, 1), name_of(owner)
end

local function owner_at(key)                 -- the owner of the key's payload; '' if it names none
  local head = peek('GETRANGE', key, 0, 255) or ''
  if not is_ours(head) then return '' end    -- a stock client names no owner
  local ok, n, owner = pcall(first_fields, head)
  return ok and n and owner or name_of(terms_at(key).owner)
end

local function inputs_from(head)             -- number of inputs and owner, from a payload's first bytes; nil if not in them
  if is_ours(head) then return first_fields(head) end
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
  return math.max(1, n), ''
end

local function outline(key)                  -- number of inputs of the key's payload, its creation time or nil, its owner;
  local head = peek('GETRANGE', key, 0, 255)   -- nil if there is no payload
  if not head or head == '' then return nil end
  local tail = #head < 256 and string.sub(head, -12) or redis.call('GETRANGE', key, -12, -1)
  local ok, n, owner = pcall(inputs_from, head)
  if ok and n and string.sub(tail, 1, 4) == '\162et\207' then return n, stamp(string.sub(tail, 5)), owner end
  local k, created = extras(#head < 256 and head or redis.call('GET', key))
  return whole(k.n, 1), created, is_ours(head) and name_of(k.owner) or ''
end
