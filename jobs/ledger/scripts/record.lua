-- Included by the scripts that return a record: with its results if it is small, otherwise without.

local function record_at(key, most)          -- false if there is none, {record}, or if it has more than `most` bytes
  local length = redis.pcall('STRLEN', key)  -- {record without results, offset of the results, their bytes}
  if type(length) ~= 'number' or length == 0 then return false end   -- not a number: another program's data
  if length <= most then return {redis.call('GET', key)} end
  local start = redis.call('GETRANGE', key, 0, 10)   -- jobs/ledger/records.py
  if string.byte(start) ~= 193 then return {redis.call('GET', key)} end   -- written by release 0.1
  local offset = 11 + struct.unpack('>I2', string.sub(start, 10))
  if length == offset then return {redis.call('GET', key)} end
  return {redis.call('GETRANGE', key, 0, offset - 1), offset, length - offset}
end
