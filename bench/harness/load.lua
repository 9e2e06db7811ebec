-- wrk: go through requests that were built beforehand, and print what came of it as JSON.
-- The file with the requests is a Lua table of strings; it is named in BENCH_REQUESTS.
local requests = dofile(os.getenv("BENCH_REQUESTS"))
local count = #requests
local at = 0

function request()
   at = at + 1
   if at > count then at = 1 end
   return requests[at]
end

function done(summary, latency, rates)
   local e = summary.errors
   io.write(string.format(
      '\nRESULT {"answers": %d, "bytes": %d, "seconds": %.6f, "p50": %.6f, "p99": %.6f, "connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}\n',
      summary.requests, summary.bytes, summary.duration / 1e6,
      latency:percentile(50) / 1e6, latency:percentile(99) / 1e6,
      e.connect, e.read, e.write, e.status, e.timeout))
end
