-- Included by the scripts that need the counters of a queue: the inputs of its unfinished jobs, and their payloads' bytes.

local function counted(key, value)
  value = value or redis.call('GET', key) or '0'   -- fails if the key is of another type
  if not string.find(value, '^%-?%d+$') then error({err = 'WRONGTYPE ' .. key .. ' holds no whole number'}) end
  return tonumber(value)
end

local function counters(bytes, inputs)       -- returns both, read with one command
  local found = redis.call('MGET', bytes, inputs)
  return counted(bytes, found[1]), counted(inputs, found[2])
end
