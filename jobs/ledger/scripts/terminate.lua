-- Included by the scripts that end jobs without running them, after conclude.lua and payload.lua; they declare `waiting`.

-- Ends a job without running it. `detail`: the encoded fields of its header after the first seven, if there are any.
local function terminate(id, model, state, detail, results)
--@include outline.lua
  local n, created, owner = outline(ARGV.payloads .. id)
  if owner and owner ~= '' then redis.pcall('ZREM', ARGV.waiting .. owner .. ':' .. model, id) end
  local lease = peek('GET', ARGV.leases .. id)
  local attempts = whole(peek('GET', ARGV.attempts .. id), 0)
  local started = lease and whole(string.sub(lease, 33), 0) or 0   -- 0: no start that counts
  if started == 0 and attempts == 0 then started = now end
  local fields, rest = detail and 11 or 7, detail or ''
  if owner and owner ~= '' then              -- the 14th field, after nils
    fields, rest = 14, rest .. string.rep('\192', 13 - fields) .. str(owner)
  end
  local header = '\220\0' .. string.char(fields) .. str(model) .. str(string.sub(state, 1, 1)) .. uint(n or 1)
    .. uint(results and 1 or 0) .. uint(attempts) .. uint(created or now) .. uint(started) .. rest
  local k = terms_at(ARGV.payloads .. id)
  if not next(k) then k.media = 0 end        -- its payload is gone, or is not ours: it may still have media
  k.files = nil
  if lease or attempts > 0 then k.files = false end   -- it may have files: nobody will see the outputs
  if k.owner then                            -- what it had used when its worker last noted its progress (progress.lua)
    local noted = peek('LINDEX', ARGV.progress .. id, 0) or ''
    local succeeded, failed, tokens, us = string.match(noted, '^(%d+) (%d+) (%d+) (%d+)$')
    k.usage = succeeded and {succeeded + failed, failed, tokens, us} or NOTHING
  end
  conclude(id, state, struct.pack('>I2', #header) .. header, results or '', k, n or 1)
end
