#!lua flags=no-writes
-- Reads the outcomes of a job that has not ended, in the order in which they became known.
-- KEYS  1 progress
-- ARGV  1 number of outcomes that the reader already has  2 bytes after which no more are added
-- Returns outcomes

local answer, bytes, at = {}, 0, ARGV[1] + 1   -- the first member of the list holds the counts
while bytes < tonumber(ARGV[2]) do
  local part = redis.call('LRANGE', KEYS[1], at, at + 63)
  if #part == 0 then break end
  for _, outcome in ipairs(part) do
    if bytes >= tonumber(ARGV[2]) then break end
    answer[#answer + 1] = outcome
    bytes = bytes + #outcome
  end
  at = at + #part
end
return answer
