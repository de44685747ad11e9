#!lua flags=allow-oom
-- Reads a job, as read.lua. Unless it has ended, an API process is told of its changes, or of its end, from now on.
-- With all changes a further part of the answer is the length of the job's partial answers.
--@key watched
--@include job_keys.lua
--@include record.lua
--@arg id
--@arg most_bytes  of a record that is returned with its results
--@arg wanted  'a' for all changes or 'e' for the end only (notify.lua)
--@arg process  16 characters
--@arg watch_lifetime  of all registrations after the newest, ms
--@arg partials  prefix
--@arg sees  '=' and the owner whose jobs the caller may see, or '*' for all

local record = record_at(ARGV.results .. ARGV.id, tonumber(ARGV.most_bytes))
if record then return record end             -- before the functions that an ended job does not need
--@include state.lua

local found = state()
if #found == 8 and (ARGV.sees == '*' or ARGV.sees == '=' .. found[8]) then
  local known = redis.pcall('HGET', KEYS.watched, ARGV.id)
  if type(known) ~= 'table' then             -- a table: another program's data
    known = known or ''
    local registered = string.find(known, 'a' .. ARGV.process, 1, true)
      or ARGV.wanted == 'e' and string.find(known, 'e' .. ARGV.process, 1, true)
    if not registered then
      local others = string.gsub(known, 'e' .. ARGV.process, '')   -- else it would be told twice of the end
      redis.call('HSET', KEYS.watched, ARGV.id, others .. ARGV.wanted .. ARGV.process)
    end
    redis.call('PEXPIRE', KEYS.watched, ARGV.watch_lifetime)
  end
  if ARGV.wanted == 'a' then
    local length = redis.pcall('STRLEN', ARGV.partials .. ARGV.id)
    found[9] = type(length) == 'number' and length or 0
  end
end
return found
