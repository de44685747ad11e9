-- Included by the scripts that read the envelope in a payload (wire.Payload), ours or a stock client's.

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
