-- Included by the scripts that change a job's state: tells those API processes that watch the job, and no other.
-- A process watches a job if the job's envelope names it (a request waits for the end), or if it registered (watch.lua).
--@key watched
--@arg events  prefix of the channels

local messages = {}                          -- channel -> encoded events
local registered = redis.pcall('HLEN', KEYS.watched)
registered = type(registered) == 'number' and registered > 0   -- not a number: another program's data

local function event(id, state, record)      -- [id, state, record or nil]
  local carried = record and '\198' .. struct.pack('>I4', #record) .. record or '\192'
  return '\147' .. str(id) .. str(state) .. carried
end

local function progressed(id, succeeded, failed)   -- [id, 'running', nil, inputs with an output, inputs that failed]
  return '\149' .. str(id) .. str('running') .. '\192' .. uint(succeeded) .. uint(failed)
end

local function send(process, message)
  local channel = process == '' and ARGV.events or ARGV.events .. ':' .. process
  local list = messages[channel] or {}
  messages[channel], list[#list + 1] = list, message
end

local function watchers(id)                  -- the registered processes, each with 16 characters; `*` stands for all jobs
  if not registered then return '' end
  local found = redis.call('HMGET', KEYS.watched, id, '*')
  return (found[1] or '') .. (found[2] or '')
end

local function tell(id, message)
  for process in string.gmatch(watchers(id), string.rep('.', 16)) do send(process, message) end
end

local function tell_end(id, message, notify) -- notify: as in the envelope
  local others = watchers(id)
  for process in string.gmatch(others, string.rep('.', 16)) do send(process, message) end
  if type(notify) ~= 'string' then
    send('', message)                        -- written by release 0.1 or a stock client: every process listens
  elseif notify ~= '' and not string.find(others, notify, 1, true) then
    send(notify, message)
  end
end

local function publish()
  for channel, list in pairs(messages) do
    redis.call('PUBLISH', channel, '\221' .. struct.pack('>I4', #list) .. table.concat(list))
  end
end
