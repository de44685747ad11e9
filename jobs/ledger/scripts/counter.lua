-- Included by the scripts that need the bytes of the unfinished payloads.

local function counter(key)                  -- returns the bytes of the unfinished payloads
  local value = redis.call('GET', key) or '0'
  if not string.find(value, '^%-?%d+$') then error({err = 'WRONGTYPE ' .. key .. ' holds no whole number'}) end
  return tonumber(value)
end
