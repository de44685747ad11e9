-- Included by the scripts that end a job without running it (cancelled, expired).
-- head: the record's fields that do not depend on the job, encoded, its map header counting the eight added here.

local function forget(job_key, bytes_key, ttl)   -- the payload's bytes no longer count; it lives on for readers
  local size = redis.call('STRLEN', job_key)
  if size > 0 and redis.call('PTTL', job_key) == -1 then   -- one with a lifetime was never counted
    redis.call('DECRBY', bytes_key, size)
    redis.call('PEXPIRE', job_key, ttl)
  end
end

local function terminate(id, keys, state, head, ttl, now)
  local payload = redis.call('GET', keys.job)
  local ok, job = pcall(cmsgpack.unpack, payload or '')
  if not ok or type(job) ~= 'table' then job = {} end
  local inputs = type(job.a) == 'table' and job.a[1]
  local total = type(job.k) == 'table' and job.k.n or type(inputs) == 'table' and #inputs or 1
  local lease = redis.call('GET', keys.lease)
  local started = lease and tonumber(string.sub(lease, 33)) or now
  local attempts = tonumber(redis.call('GET', keys.attempts) or 0)
  local created = tonumber(job.et) or now
  local record = head
    .. str('id') .. str(id) .. str('q') .. str(keys.queue) .. str('t') .. uint(attempts)
    .. str('et') .. uint(created) .. str('st') .. uint(started) .. str('n') .. uint(total)
    .. str('state') .. str(state) .. str('ft') .. uint(now)
  redis.call('SET', keys.result, record, 'PX', ttl)
  forget(keys.job, keys.bytes, ttl)
  redis.call('DEL', keys.lease, keys.attempts)
  redis.call('ZREM', keys.queue, id)
  redis.call('ZREM', keys.deadlines, id)
  redis.call('ZREM', keys.abort, id)
  return record
end
