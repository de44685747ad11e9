-- Included by the scripts that write msgpack: a minimal encoder. Strings from Python are already encoded; the scripts only
-- add values that only Redis knows.

local function str(s)
  if #s < 256 then return '\217' .. string.char(#s) .. s end
  return '\218' .. struct.pack('>I2', #s) .. s
end

local function uint(n) return '\207' .. struct.pack('>I8', n) end
