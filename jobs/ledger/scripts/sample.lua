#!lua
-- Adds a sample to a model's history, unless another writer has added one since this writer read `at`.
-- Returns 1, or 0 if another writer was faster
--@key history
--@key sampled
--@include clock.lua
--@arg before  `at` of the previous sample, empty if there is none
--@arg sample
--@arg counts  at the time of the sample
--@arg most_samples
--@arg lifetime  ms

if (redis.call('HGET', KEYS.sampled, 'at') or '') ~= ARGV.before then return 0 end
local at = string.format('%d', now)
redis.call('HSET', KEYS.sampled, 'at', at, 'counts', ARGV.counts)
redis.call('RPUSH', KEYS.history, at .. ' ' .. ARGV.sample)
redis.call('LTRIM', KEYS.history, -ARGV.most_samples, -1)
redis.call('PEXPIRE', KEYS.history, ARGV.lifetime)
redis.call('PEXPIRE', KEYS.sampled, ARGV.lifetime)
return 1
