-- wrk: go through requests that were built beforehand, and print what came of it as JSON.
-- The file with the requests is a Lua table of strings; it is named in BENCH_REQUESTS.  Every BENCH_EVERY calls the
-- time on the monotonic clock is noted: what was asked while it connected does not count.
local ffi = require("ffi")
ffi.cdef [[
   typedef struct { long seconds; long nanoseconds; } bench_time;
   int clock_gettime(int, bench_time *);
]]
local now = ffi.new("bench_time")
local requests = dofile(os.getenv("BENCH_REQUESTS"))
local count = #requests
local every = tonumber(os.getenv("BENCH_EVERY"))
local at = 0
local thread
times, calls = {}, 0

function setup(it)
   thread = it
end

function request()
   if calls == 0 then
      io.write("READY\n")
      io.flush()
   end
   if calls % every == 0 then
      ffi.C.clock_gettime(1, now)
      times[#times + 1] = tonumber(now.seconds) + tonumber(now.nanoseconds) / 1e9
   end
   calls = calls + 1
   at = at + 1
   if at > count then at = 1 end
   return requests[at]
end

function done(summary, latency, rates)
   local e = summary.errors
   local marks = {}
   for i, time in ipairs(thread:get("times")) do
      marks[i] = string.format("%.6f", time)
   end
   io.write(string.format(
      '\nRESULT {"answers": %d, "bytes": %d, "seconds": %.6f, "p50": %.6f, "p99": %.6f, "connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d, "calls": %d, "every": %d, "marks": [%s]}\n',
      summary.requests, summary.bytes, summary.duration / 1e6,
      latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
      e.connect, e.read, e.write, e.status, e.timeout, thread:get("calls"), every, table.concat(marks, ",")))
end
