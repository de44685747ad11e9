-- Included by the scripts that end a batch. It stays among the open ones until its parts are deleted.
--@key open_of_owners
--@arg owner
--@arg lifetime  of the record of an ended batch, ms

local function close(state)
  move(state)
  redis.call('PEXPIRE', KEYS.batch, ARGV.lifetime)
  if redis.call('HINCRBY', KEYS.open_of_owners, ARGV.owner, -1) <= 0 then
    redis.call('HDEL', KEYS.open_of_owners, ARGV.owner)
  end
end
