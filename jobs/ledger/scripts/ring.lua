-- Included by the scripts that add jobs to the queue.

local function ring(doorbell, jobs, length)   -- wakes one worker per job, at most 16; `length` of the list, if known
  for _ = (length or redis.call('LLEN', doorbell)) + 1, math.min(jobs, 16) do redis.call('LPUSH', doorbell, '1') end
  redis.call('PEXPIRE', doorbell, 60000)
end
