-- Included by the scripts that end a job without running it (cancelled, expired).
-- head: the record's fields that do not depend on the job, encoded, its map header counting the eight added here.

local function forget(job_key, bytes_key, ttl)   -- its bytes no longer count; a small one lives on for readers
  local size = redis.call('STRLEN', job_key)
  if size > 0 and redis.call('PTTL', job_key) == -1 then   -- one with a lifetime was never counted
    redis.call('DECRBY', bytes_key, size)
    if size <= 65536 then redis.call('PEXPIRE', job_key, ttl) else redis.call('DEL', job_key) end
  end
end

local function terminate(id, keys, state, head, ttl, now)
  local k, created = extras(redis.call('GET', keys.job) or '')
  local lease = redis.call('GET', keys.lease)
  local started = lease and whole(string.sub(lease, 33), nil) or now
  local attempts = whole(redis.call('GET', keys.attempts), 0)
  local record = head
    .. str('id') .. str(id) .. str('q') .. str(keys.queue) .. str('t') .. uint(attempts)
    .. str('et') .. uint(created or now) .. str('st') .. uint(started) .. str('n') .. uint(whole(k.n, 1))
    .. str('state') .. str(state) .. str('ft') .. uint(now)
  redis.call('SET', keys.result, record, 'PX', ttl)
  forget(keys.job, keys.bytes, ttl)
  redis.call('DEL', keys.lease, keys.attempts)
  redis.call('ZREM', keys.queue, id)
  redis.call('ZREM', keys.deadlines, id)
  redis.call('ZREM', keys.abort, id)
  return record
end
