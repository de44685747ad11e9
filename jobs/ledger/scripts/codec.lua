-- Included by the scripts that write msgpack: a minimal encoder, and the clock.
-- Strings from Python are already encoded; the scripts only add values that only Redis knows.

local RUNNING = 1e15                         -- keys.RUNNING

local function clock()                       -- Unix ms by the server's clock; no other clock is used
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
local now = clock()

local function str(s)
  if #s < 256 then return '\217' .. string.char(#s) .. s end
  return '\218' .. struct.pack('>I2', #s) .. s
end

local function uint(n) return '\207' .. struct.pack('>I8', n) end

--@include payload.lua

local function is_record(key)                -- whether the key holds a string; a record of an ended job is one
  local length = redis.pcall('STRLEN', key)
  return type(length) == 'number' and length > 0
end

local function many(command, key, args)      -- splits a command with many members, because Lua's stack is small
  for i = 1, #args, 4000 do
    redis.call(command, key, unpack(args, i, math.min(i + 3999, #args)))
  end
end

local function ring(doorbell, jobs)          -- wakes one worker per job, at most 16
  for _ = redis.call('LLEN', doorbell) + 1, math.min(jobs, 16) do redis.call('LPUSH', doorbell, '1') end
  redis.call('PEXPIRE', doorbell, 60000)
end

local function counter(key)                  -- returns the bytes of the unfinished payloads
  local value = redis.call('GET', key) or '0'
  if not string.find(value, '^%-?%d+$') then error({err = 'WRONGTYPE ' .. key .. ' holds no whole number'}) end
  return tonumber(value)
end
