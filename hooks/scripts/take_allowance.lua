#!lua
-- Counts what an owner asks for. Returns 0 if it may be done, else the ms until it may be asked for again.
--@key asked
--@arg most  in a window
--@arg window  ms

local count = redis.pcall('INCR', KEYS.asked)
if type(count) ~= 'number' then return 0 end   -- another program's data limits nothing
local left = redis.call('PTTL', KEYS.asked)
if left < 0 then
  redis.call('PEXPIRE', KEYS.asked, ARGV.window)
  left = tonumber(ARGV.window)
end
return count > tonumber(ARGV.most) and math.max(left, 1) or 0
