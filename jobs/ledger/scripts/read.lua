#!lua flags=no-writes
-- Reads a job. Returns the same as record_at if it has ended, otherwise as `state`.
--@key watched
--@include job_keys.lua
--@include record.lua
--@arg id
--@arg most_bytes  of a record that is returned with its results

local record = record_at(ARGV.results .. ARGV.id, tonumber(ARGV.most_bytes))
if record then return record end             -- before the functions that an ended job does not need
--@include state.lua

return state()
