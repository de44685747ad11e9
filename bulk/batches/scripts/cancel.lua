#!lua flags=allow-oom
-- Requests the cancellation of a batch. Returns {record} as it is then; {} if there is none that the caller may see;
-- {'ended', status} if it has ended. A batch that is finalizing has all outcomes: it is not changed.
--@include clock.lua
--@include record.lua
--@arg sees  '=' and the owner whose batches the caller may end, or '*' for all

local status, asked = unpack(redis.call('HMGET', KEYS.batch, 'status', 'asked'))
if not status then return {} end
if ARGV.sees ~= '*' and '=' .. (cjson.decode(asked).sender.owner or '') ~= ARGV.sees then return {} end
if status == 'validating' or status == 'in_progress' then
  move('cancelling')
elseif status ~= 'cancelling' and status ~= 'finalizing' then
  return {'ended', status}
end
return {redis.call('HGETALL', KEYS.batch)}
