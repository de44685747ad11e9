-- Included by the scripts that return a record: with its results if it is small, otherwise without.

local function record_at(key, most)          -- false if there is none, {record}, or if it has more than `most` bytes
  local length = redis.pcall('STRLEN', key)  -- {record without results, offset of the results, their bytes}
  if type(length) ~= 'number' or length == 0 then return false end   -- not a number: another program's data
  if length <= most then return {redis.call('GET', key)} end
  local head = redis.call('GETRANGE', key, 0, 99)
  local at = string.find(head, '\161s[\194\195]\161r')   -- wire.Record: success, directly followed by the results
  local kinds = {[196] = 1, [197] = 2, [198] = 4}   -- msgpack's bin headers -> bytes of the length field
  local width = at and kinds[string.byte(head, at + 5)]
  if not width then return {redis.call('GET', key)} end
  local size = struct.unpack('>I' .. width, string.sub(head, at + 6))
  local offset = at + 5 + width              -- from 0
  return {string.sub(head, 1, at + 4) .. '\196\0' .. redis.call('GETRANGE', key, offset + size, -1), offset, size}
end
