-- The requests are chat completions of about 100 tokens. They use 200 prompts in
-- turn, each with a new number in front, so that no request or conversation is
-- repeated. FIRST is the first number; STREAM=true asks for streams.

local stories = {
  "A cyclist leaves town A at %d am at %d km/h and a runner leaves town B, %d km away on the same road, an hour later at 12 km/h towards her. When they meet they rest for half an hour, and then each goes on to the other's starting point at the same speed as before. At what time does the cyclist arrive at town B, how far from town A did they meet, and how many kilometres has the runner covered when the cyclist arrives?",
  "Our nightly job copies %d tables from one database to another with %d workers and takes %d minutes, although the disks are idle most of the time. Each worker reads a page of a thousand rows, converts the dates, and writes the page in one transaction. Explain three likely reasons why it is slow, how to tell them apart with the tools of the database, and what you would change first. Keep it short, for people who know SQL but not this system.",
  "Write a function in Go that takes a list of at most %d intervals, each with a start and an end between 0 and %d00, and returns the largest number of intervals that overlap at any point, with the first point where that happens. It should run in O(n log n), treat intervals that only touch as not overlapping, and return zero for an empty list. Add a table of at least %d tests, and say in one sentence why the order of equal ends and starts matters.",
  "Summarise this for a board of directors in four sentences: in the last %d months we moved %d of our services to the new platform, the bill fell by %d per cent, and two outages of less than an hour were caused by expired certificates. The remaining services wait for the vendor of the message queue, who has promised a release twice. The team asks for two more people until summer, or for the date of the move to be put off until the end of the year.",
  "Translate into plain English for a patient: the scan of the left knee shows a small effusion of %d ml, a horizontal tear in the posterior horn of the medial meniscus over %d mm, and early thinning of the cartilage over an area of %d square millimetres, without bone oedema. Say what each finding means, which of them may heal without an operation, what usually helps in the first weeks, and when to call the practice again rather than wait.",
}

local prompts = {}
for i = 0, 199 do
  local story = stories[i % #stories + 1]
  prompts[i] = string.format(story, 6 + i % 5, 11 + i % 37, 40 + i % 53)
end

local heads, tails, count, first = {}, {}, 0, tonumber(os.getenv("FIRST") or "0")
local mark = "#########"

function init(args)
  wrk.headers["Content-Type"] = "application/json"
  local stream = os.getenv("STREAM") == "true" and ',"stream":true' or ""
  for i = 0, 199 do
    local body = '{"model":"auto"' .. stream .. ',"messages":[{"role":"user","content":"Case ' .. mark .. ". " .. prompts[i] .. '"}]}'
    local whole = wrk.format("POST", nil, nil, body)
    local at = whole:find(mark, 1, true)
    heads[i], tails[i] = whole:sub(1, at - 1), whole:sub(at + #mark)
  end
end

function request()
  local i = count % 200
  count = count + 1
  return heads[i] .. string.format("%09d", first + count) .. tails[i]
end

-- done prints the line that gateway measure reads.
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\nRESULT {"requests":%d,"microseconds":%d,"not_2xx":%d,"broken":%d,"p50_us":%d,"p99_us":%d}\n',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
