#!lua flags=allow-oom,no-writes
-- Returns what the metrics show: {unfinished batches of each state}, ms since the oldest of them was created, the counts, bytes of
-- all files, live bulk processes.
--@include clock.lua
--@key batch_states
--@key batch_counts
--@key files_stored
--@key bulk_processes
--@arg states  number of unfinished states
--@arg alive  s

local sizes, oldest = {}, now
for number = 0, ARGV.states - 1 do
  local from, to = string.format('%d', number * 1e13), string.format('(%d', (number + 1) * 1e13)
  sizes[#sizes + 1] = redis.call('ZCOUNT', KEYS.batch_states, from, to)
  local first = redis.call('ZRANGEBYSCORE', KEYS.batch_states, from, to, 'WITHSCORES', 'LIMIT', 0, 1)[2]
  if first then oldest = math.min(oldest, first - number * 1e13) end
end
local stored = 0
for _, bytes in ipairs(redis.call('HVALS', KEYS.files_stored)) do stored = stored + bytes end
local processes = redis.call('ZCOUNT', KEYS.bulk_processes, now / 1000 - ARGV.alive, '+inf')
return {sizes, now - oldest, redis.call('HGETALL', KEYS.batch_counts), stored, processes}
