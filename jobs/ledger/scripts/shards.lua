#!lua flags=no-writes
-- Reads how the queue has grown, also from a server that accepts no writes: without the number of shards, a new process
-- can find no job.
-- Returns {now, then for each growth its number of shards, Unix ms}
--@include growth.lua

return answer
