#!lua flags=allow-oom
-- Deletes the record of a file and its part of the quota. Returns the record's fields as in page.lua, or nil if there is
-- no such file for this caller.
--@include clock.lua
--@include drop.lua
--@arg id
--@arg sees  as in jobs/ledger/ownership.py

local record = redis.call('HMGET', ARGV.file_records .. ARGV.id,
  'owner', 'purpose', 'bytes', 'created', 'expires', 'filename')
local owner, expires = record[1], record[5]
if not owner or (ARGV.sees ~= '*' and ARGV.sees ~= '=' .. owner) then return nil end
if expires ~= '' and tonumber(expires) <= now then return nil end
drop_file(ARGV.id)
return record
