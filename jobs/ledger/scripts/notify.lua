-- Included by the scripts that change a job's state: tells those API processes that watch the job, and no other.
-- A process registers when it submits a job for which a request waits (submit.lua), or when it reads one (watch.lua).
--@key watched
--@arg events  prefix of the channels

local REGISTRATION = '(.)(................)'    -- 'e' for the end only or 'a' for all changes, and the process
local told, events = {'*'}, {}               -- ids, of which the first has those that watch all jobs; four fields for each

-- `publish` sends it. `more`: msgpack's first byte of the event's array, and the fields after the record
local function tell(id, state, record, ended, more)
  told[#told + 1] = id
  local n = #events
  events[n + 1], events[n + 2], events[n + 3], events[n + 4] = state, record or false, ended or false, more or false
end

local function encoded(id, state, record, more)   -- [id, state, record or nil], and more fields
  record = record and '\198' .. struct.pack('>I4', #record) .. record or '\192'
  return (more and string.sub(more, 1, 1) or '\147') .. str(id) .. str(state) .. record .. (more and string.sub(more, 2) or '')
end

local function publish()                     -- looks all registrations up at once: a call costs more than its fields
  local messages, of_all, over = {}, nil, {}   -- messages: process -> encoded events
  for first = 1, #told > 1 and #told or 0, 4000 do
    local found = redis.pcall('HMGET', KEYS.watched, unpack(told, first, math.min(first + 3999, #told)))
    if found.err then return end             -- another program's data
    of_all = of_all or found[1] or ''
    for i = first == 1 and 2 or 1, #found do
      local id, event = told[first + i - 1], 4 * (first + i - 3)
      local ended = events[event + 3]
      local to = (found[i] or '') .. of_all
      if to ~= '' then
        if ended and found[i] then over[#over + 1] = id end
        local message
        for wanted, process in string.gmatch(to, REGISTRATION) do
          if ended or wanted == 'a' then
            message = message or encoded(id, events[event + 1], events[event + 2], events[event + 4])
            local list = messages[process] or {}
            messages[process], list[#list + 1] = list, message
          end
        end
      end
    end
  end
  many('HDEL', KEYS.watched, over)
  for process, list in pairs(messages) do
    redis.call('PUBLISH', ARGV.events .. ':' .. process, '\221' .. struct.pack('>I4', #list) .. table.concat(list))
  end
end
