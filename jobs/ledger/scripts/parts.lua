-- Included by submit.lua, after limits.lua: the parts of owners in a full queue.
--@arg part_jobs  of this shard in the limits of the queue
--@arg part_bytes
--@arg part_inputs

-- A full queue still accepts jobs of a named owner that has less than its part of it, until it holds twice its limits.
-- Otherwise an owner that floods the queue would keep all others out.
local function has_part(sender, size)
  local held, owners = work_of(sender), redis.call('ZCARD', KEYS.turns) + 1
  local function fits(all, own, more, most, part) return all + more <= most + part and own + more <= part / owners end
  return fits(depth, held.jobs, 1, most_jobs, tonumber(ARGV.part_jobs))
    and fits(bytes, held.bytes, size, most_bytes, tonumber(ARGV.part_bytes))
    and fits(inputs, held.inputs, sender.inputs, most_inputs, tonumber(ARGV.part_inputs))
end

