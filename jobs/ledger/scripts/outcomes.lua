#!lua flags=no-writes
-- Reads the outcomes of a job that has not ended, in the order in which they became known.
-- Returns outcomes
--@key progress
--@arg after  number of outcomes that the reader already has
--@arg most_bytes  after which no more are added

local most, answer, bytes = tonumber(ARGV.most_bytes), {}, 0
local at, count = ARGV.after + 1, 1          -- the first member of the list holds the counts
while bytes < most do
  local part = redis.call('LRANGE', KEYS.progress, at, at + count - 1)
  if #part == 0 then break end
  for _, outcome in ipairs(part) do
    if bytes >= most then break end
    answer[#answer + 1] = outcome
    bytes = bytes + #outcome
  end
  at = at + #part
  -- reads no more than are likely to fit: a list may hold many MB
  count = math.max(1, math.min(64, 2 * count, math.floor((most - bytes) * #answer / bytes)))
end
return answer
