-- Included by the scripts that need the time, or the scores of running jobs.

local RUNNING, PARKED = 1e15, 2e15           -- keys.RUNNING, keys.PARKED
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)   -- Unix ms by the server's clock; no other clock is used
