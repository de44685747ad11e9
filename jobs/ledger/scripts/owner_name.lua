-- Included by the scripts that read the owner in an envelope, which a stock client may have written.

local function name_of(owner)                -- jobs/owners.py; '' for the anonymous owner and for what is no name
  return type(owner) == 'string' and #owner <= 64 and string.match(owner, '^%w[%w._@-]*$') or ''
end
