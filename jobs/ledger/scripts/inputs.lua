#!lua flags=no-writes
-- Reads a payload, unless it is larger than a limit.
-- Returns the payload, its size if that is above the limit, or false if there is no readable payload.
--@key payload
--@arg most_bytes

local size = redis.pcall('STRLEN', KEYS.payload)
if type(size) ~= 'number' then return false end   -- another program's data
if size > tonumber(ARGV.most_bytes) then return size end
return redis.call('GET', KEYS.payload)
