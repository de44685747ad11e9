-- Included by the scripts that read the same key of many jobs.

local function strings(prefix, ids)          -- the strings in the keys of these jobs; false where there is none
  local found, names = {}, {}
  for i, id in ipairs(ids) do
    names[#names + 1] = prefix .. id
    if #names == 4000 or i == #ids then
      for _, value in ipairs(redis.call('MGET', unpack(names))) do found[#found + 1] = value end
      names = {}
    end
  end
  return found
end
