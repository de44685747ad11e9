#!lua flags=no-writes
-- Reads a payload, unless it is larger than a limit.
-- KEYS  1 payload
-- ARGV  1 most bytes
-- Returns the payload, its size if that is above the limit, or false if there is no readable payload.

local size = redis.pcall('STRLEN', KEYS[1])
if type(size) ~= 'number' then return false end   -- another program's data
if size > tonumber(ARGV[1]) then return size end
return redis.call('GET', KEYS[1])
