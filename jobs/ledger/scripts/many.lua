-- Included by the scripts that change many members of a key, or read many keys, with few calls.

local function many(command, key, args)      -- splits a command with many members, because Lua's stack is small
  for i = 1, #args, 4000 do
    redis.call(command, key, unpack(args, i, math.min(i + 3999, #args)))
  end
end
