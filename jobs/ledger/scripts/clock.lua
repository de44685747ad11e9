-- Included by the scripts that need the time, or the scores of running jobs.

local RUNNING = 1e15                         -- keys.RUNNING
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)   -- Unix ms by the server's clock; no other clock is used
