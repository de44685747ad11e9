#!lua flags=allow-oom
-- Leases due deliveries, of each host at most so many: until a lease has ended, no other sender gets the delivery.
-- Returns for each {id, overdue, fields of its hash}; overdue is 1 if it is given up, because its host fails. Then the
-- keys of hosts that hold another program's data.
--@key hosts
--@include clock.lua
--@arg deliveries  prefix
--@arg due  prefix
--@arg lease  ms
--@arg most
--@arg of_host  most of one host
--@arg slow  msgpack map: owners whose deliveries wait for a while; '' if there are none
--@arg later  ms for which they do, and hosts with another program's data
--@arg patience  ms after which a delivery to a host that fails is given up
--@each host  of which the caller knows something
--@each room  how many more deliveries it may have
--@each fails  1 if its circuit breaker has tripped
--@each pause  ms for which nobody is to look at it; 0 for none

local leased, damaged, known = {}, {}, {}
for at = EACH.first, #ARGV, EACH.size do
  known[EACH.host] = {tonumber(EACH.room), EACH.fails == '1', tonumber(EACH.pause)}
end
local most = tonumber(ARGV.most)
local slow = ARGV.slow ~= '' and cmsgpack.unpack(ARGV.slow)
local hosts = most + #ARGV + (slow and 500 or 0)   -- enough that those of slow owners do not hide the others

local function value(fields, name)
  for i = 1, #fields, 2 do
    if fields[i] == name then return fields[i + 1] end
  end
end

local function lease(host, before, some, overdue)
  local due = ARGV.due .. host
  some = math.min(some, most - #leased)
  if some <= 0 then return end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', before, 'LIMIT', 0, some)) do
    local fields = redis.pcall('HGETALL', ARGV.deliveries .. id)
    if (value(fields, 'host') or host) ~= host or #fields == 0 then
      redis.call('ZREM', due, id)            -- redirected meanwhile, or another program deleted it or wrote something else
    elseif overdue == 0 and slow and slow[value(fields, 'owner')] then
      redis.call('ZADD', due, now + ARGV.later, id)
    else
      redis.call('ZADD', due, now + ARGV.lease, id)
      leased[#leased + 1] = {id, overdue, fields}
    end
  end
end

local function look_at(host)
  local room, fails, pause = unpack(known[host] or {tonumber(ARGV.of_host), false, 0})
  if fails then lease(host, now - ARGV.patience, most, 1) end
  lease(host, now, room, 0)
  local first = redis.call('ZRANGE', ARGV.due .. host, 0, 0, 'WITHSCORES')[2]
  if first then redis.call('ZADD', KEYS.hosts, pause > 0 and math.max(first, now + pause) or first, host)
  else redis.call('ZREM', KEYS.hosts, host) end
end

for _, host in ipairs(redis.call('ZRANGEBYSCORE', KEYS.hosts, '-inf', now, 'LIMIT', 0, hosts)) do
  if #leased >= most then break end
  local kind = redis.call('TYPE', ARGV.due .. host).ok
  if kind == 'zset' or kind == 'none' then look_at(host)
  else                                       -- other hosts go on
    damaged[#damaged + 1] = ARGV.due .. host
    redis.call('ZADD', KEYS.hosts, now + ARGV.later, host)
  end
end
return {leased, damaged}
