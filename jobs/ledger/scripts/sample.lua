#!lua
-- Adds a sample to a model's history, unless another writer has added one since this writer read `at`.
-- KEYS  1 history  2 sampled
-- ARGV  1 `at` of the previous sample, empty if there is none  2 sample  3 counts at the time of the sample
--       4 most samples  5 lifetime, ms
-- Returns 1, or 0 if another writer was faster
--@include codec.lua

if (redis.call('HGET', KEYS[2], 'at') or '') ~= ARGV[1] then return 0 end
local now = string.format('%d', clock())
redis.call('HSET', KEYS[2], 'at', now, 'counts', ARGV[3])
redis.call('RPUSH', KEYS[1], now .. ' ' .. ARGV[2])
redis.call('LTRIM', KEYS[1], -ARGV[4], -1)
redis.call('PEXPIRE', KEYS[1], ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return 1
