#!lua flags=allow-oom
-- Records that a chunk's part is stored, with its counts, once for each chunk: in_progress or cancelling.
-- Returns {'noted'} | {'refused', status} | {'lost'}.
--@include clock.lua
--@include record.lua
--@include held.lua
--@key chunks
--@key batch_counts
--@arg chunk
--@arg part  name of the part
--@arg completed
--@arg failed
--@arg output_bytes
--@arg error_bytes
--@arg tokens
--@arg late  lines that were not run because the window has ended

if status ~= 'in_progress' and status ~= 'cancelling' then return {'refused', status} end
redis.call('HLEN', KEYS.batch_counts)        -- fails on another program's data, before anything is written
local about = table.concat({ARGV.part, ARGV.completed, ARGV.failed, ARGV.output_bytes, ARGV.error_bytes}, ' ')
if redis.call('HSETNX', KEYS.chunks, ARGV.chunk, about) == 1 then
  redis.call('HINCRBY', KEYS.batch, 'completed', ARGV.completed)
  redis.call('HINCRBY', KEYS.batch, 'failed', ARGV.failed)
  redis.call('HINCRBY', KEYS.batch, 'tokens', ARGV.tokens)
  redis.call('HINCRBY', KEYS.batch, 'late', ARGV.late)
  redis.call('HINCRBY', KEYS.batch_counts, 'lines:completed', ARGV.completed)
  redis.call('HINCRBY', KEYS.batch_counts, 'lines:failed', ARGV.failed)
  progressed()
end
return {'noted'}
