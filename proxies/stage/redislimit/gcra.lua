-- Counts one request against several quotas by GCRA, all or none. KEYS: one a quota. ARGV: its interval and its depth, in microseconds.
-- A key holds the instant at which its debt is paid off, and goes when that is over. Answers which quota denied (0: none), then for each
-- what remains, and in microseconds: until nothing is owed, until one request would pass.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answer, paid, denied = {0}, {}, 0
for i = 1, #KEYS do
  local interval, depth = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local owed = math.max(tonumber(redis.call('GET', KEYS[i]) or 0), now)
  local after = owed + interval
  local over = after - now - depth
  if over > 0 then
    if denied == 0 then denied = i end
    answer[3 * i - 1], answer[3 * i], answer[3 * i + 1] = 0, owed - now, over
  else
    answer[3 * i - 1], answer[3 * i], answer[3 * i + 1] = math.floor(-over / interval), after - now, 0
  end
  paid[i] = after
end
if denied == 0 then
  for i = 1, #KEYS do
    redis.call('SET', KEYS[i], string.format('%.0f', paid[i]), 'PX', math.ceil((paid[i] - now) / 1000))
  end
end
answer[1] = denied
return answer
