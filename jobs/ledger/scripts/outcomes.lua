#!lua flags=no-writes
-- Reads the outcomes of a job that has not ended, in the order in which they became known.
-- KEYS  1 progress
-- ARGV  1 number of outcomes that the reader already has  2 bytes after which no more are added
-- Returns outcomes

local most, answer, bytes = tonumber(ARGV[2]), {}, 0
local at, count = ARGV[1] + 1, 1             -- the first member of the list holds the counts
while bytes < most do
  local part = redis.call('LRANGE', KEYS[1], at, at + count - 1)
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
