-- Included by the scripts that read single values. A job's keys may hold another program's data; nothing here raises
-- because of that, so that other jobs continue.

local function peek(...)                     -- runs a command that reads a string; nil if there is none
  local answer = redis.pcall(...)
  return type(answer) == 'string' and answer or nil
end

local function whole(value, otherwise)       -- a whole number from a stock client's payload, or `otherwise`
  local n = tonumber(value)
  return n and n >= 0 and n < 2^53 and math.floor(n) or otherwise
end

local function is_record(key)                -- whether the key holds a string; a record of an ended job is one
  local length = redis.pcall('STRLEN', key)
  return type(length) == 'number' and length > 0
end
