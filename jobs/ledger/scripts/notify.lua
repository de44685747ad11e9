-- Included by the scripts that change a job's state: tells those API processes that watch the job, and no other.
-- A process registers when it submits a job for which a request waits (submit.lua), or when it reads one (watch.lua).
--@key watched
--@arg events  prefix of the channels

local REGISTRATION = '(.)(................)'    -- 'e' for the end only or 'a' for all changes, and the process
local messages = {}                          -- process -> encoded events
local registered = redis.pcall('HLEN', KEYS.watched)
registered = type(registered) == 'number' and registered > 0   -- not a number: another program's data
local of_all = registered and redis.call('HGET', KEYS.watched, '*') or ''

local function watchers(id)                  -- what is registered for the job, and for all jobs
  return registered and (redis.call('HGET', KEYS.watched, id) or '') .. of_all or ''
end

local function send(to, message, ended)
  for wanted, process in string.gmatch(to, REGISTRATION) do
    if ended or wanted == 'a' then
      local list = messages[process] or {}
      messages[process], list[#list + 1] = list, message
    end
  end
end

local function tell(id, state, record, ended)   -- [id, state, record or nil]
  local to = watchers(id)
  if to ~= '' then
    local carried = record and '\198' .. struct.pack('>I4', #record) .. record or '\192'
    send(to, '\147' .. str(id) .. str(state) .. carried, ended)
  end
end

local function publish()
  for process, list in pairs(messages) do
    redis.call('PUBLISH', ARGV.events .. ':' .. process, '\221' .. struct.pack('>I4', #list) .. table.concat(list))
  end
end
