-- Included by the scripts that end a job without running it (cancelled, expired).
-- head: the record's encoded fields that do not depend on the job; its map header counts the eight fields added here.

local function forget(job_key, ttl)          -- returns the bytes to subtract; a small payload is kept for readers
  local size = redis.pcall('STRLEN', job_key)
  if type(size) ~= 'number' then return 0 end   -- another program's data: do not delete it
  local counted = redis.call('PEXPIRE', job_key, ttl, 'NX') == 1   -- a payload with a lifetime was never counted
  if counted and size > 65536 then redis.call('DEL', job_key) end
  return counted and size or 0
end

local function terminate(id, keys, state, head, ttl, now)
  local n, created = outline(keys.job)
  local lease = peek('GET', keys.lease)
  local attempts = whole(peek('GET', keys.attempts), 0)
  local started = lease and whole(string.sub(lease, 33), 0) or 0   -- 0: no start that counts
  if started == 0 and attempts == 0 then started = now end
  local record = head
    .. str('id') .. str(id) .. str('q') .. str(keys.queue) .. str('t') .. uint(attempts)
    .. str('et') .. uint(created or now) .. str('st') .. uint(started) .. str('n') .. uint(n or 1)
    .. str('state') .. str(state) .. str('ft') .. uint(now)
  redis.call('SET', keys.result, record, 'PX', ttl)
  redis.call('DECRBY', keys.bytes, forget(keys.job, ttl))
  redis.call('DEL', keys.lease, keys.attempts, keys.progress)
  redis.call('ZREM', keys.queue, id)
  redis.call('ZREM', keys.deadlines, id)
  redis.call('ZREM', keys.abort, id)
  return record
end
