#!lua flags=no-writes
-- Returns files of a list, in its order or the reverse: {'page', more, {id, the six fields, id, ...}}, or {'unknown'} if the
-- file to begin after is not in the list. `more`: 1 if others follow. Files whose lifetime is over are left out.
--@key list
--@include clock.lua
--@arg file_records  prefix
--@arg order  asc | desc
--@arg after  file id, or ''
--@arg after_created  its creation, by which its place is found if it was deleted meanwhile, or ''
--@arg most

local STEP = 100
local descending, first, found, most = ARGV.order == 'desc', 0, {}, tonumber(ARGV.most)
if ARGV.after ~= '' then
  local place = redis.call(descending and 'ZREVRANK' or 'ZRANK', KEYS.list, ARGV.after)
  if place then
    first = place + 1
  elseif ARGV.after_created == '' then
    return {'unknown'}
  elseif descending then
    first = redis.call('ZCOUNT', KEYS.list, '(' .. ARGV.after_created, '+inf')
  else
    first = redis.call('ZCOUNT', KEYS.list, '-inf', '(' .. ARGV.after_created)
  end
end
while true do
  local ids = redis.call(descending and 'ZREVRANGE' or 'ZRANGE', KEYS.list, first, first + STEP - 1)
  for _, id in ipairs(ids) do
    local record = redis.call('HMGET', ARGV.file_records .. id,
      'owner', 'purpose', 'bytes', 'created', 'expires', 'filename')
    local expires = record[5]
    if record[1] and (expires == '' or tonumber(expires) > now) then
      if #found == 7 * most then return {'page', 1, found} end
      found[#found + 1] = id
      for field = 1, 6 do found[#found + 1] = record[field] end
    end
  end
  if #ids < STEP then return {'page', 0, found} end
  first = first + STEP
end
