#!lua flags=allow-oom
-- Writes files of outputs of running jobs, each only if the job's lease is still valid. They are written before anybody can
-- read the outcome that names them. A file that was written before is written again, so re-running the script is safe.
-- Also when memory is full, like the records that name them (finish.lua).
--@key watched
--@include values.lua
--@arg leases  prefixes of the keys of jobs
--@arg files
--@arg lifetime  ms
--@each id token
--@each name
--@each content

for at = EACH.first, #ARGV, EACH.size do
  local lease, key = peek('GET', ARGV.leases .. EACH.id), ARGV.files .. EACH.id
  if lease and string.sub(lease, 1, 32) == EACH.token then
    if type(redis.pcall('HSET', key, EACH.name, EACH.content)) ~= 'number' then   -- another program's data
      redis.call('DEL', key)
      redis.call('HSET', key, EACH.name, EACH.content)
    end
    redis.call('PEXPIRE', key, ARGV.lifetime)
  end
end
