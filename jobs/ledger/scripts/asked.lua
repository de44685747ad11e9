#!lua flags=no-writes
-- Reads a payload, unless it is larger than its reader wants.
-- KEYS  1 payload
-- ARGV  1 most bytes
-- Answers the payload, its size where that is more, or false where there is none that can be read.

local size = redis.pcall('STRLEN', KEYS[1])
if type(size) ~= 'number' then return false end   -- another program's data
if size > tonumber(ARGV[1]) then return size end
return redis.call('GET', KEYS[1])
