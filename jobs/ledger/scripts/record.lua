-- Included by the scripts that answer a record: whole where it is small, else without its results.

local function record_at(key, most)          -- false where there is none, else {record}, or for one of more than `most`
  local length = redis.pcall('STRLEN', key)  -- bytes {record less results, offset of the results, their bytes}
  if type(length) ~= 'number' or length == 0 then return false end   -- or another program's data of another type
  if length <= most then return {redis.call('GET', key)} end
  local head = redis.call('GETRANGE', key, 0, 99)
  local at = string.find(head, '\161s[\194\195]\161r')   -- wire.Record: success, and the results right behind it
  local kinds = {[196] = 1, [197] = 2, [198] = 4}   -- msgpack's bin headers -> bytes of their length
  local width = at and kinds[string.byte(head, at + 5)]
  if not width then return {redis.call('GET', key)} end
  local size = struct.unpack('>I' .. width, string.sub(head, at + 6))
  local offset = at + 5 + width              -- from 0
  return {string.sub(head, 1, at + 4) .. '\196\0' .. redis.call('GETRANGE', key, offset + size, -1), offset, size}
end
