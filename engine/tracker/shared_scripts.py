"""What the shared swarm table has Valkey do: Lua scripts, each one step for everybody who looks on.

Time there is cut into spans of half the expiry. Whoever announces is moved to the keys of the
present span, and all keys of a span expire together when the next one ends: so Valkey forgets by
itself who was silent for more than a span, counts stay exact, and nobody's clock matters but its.

    PREFIX HASH :SPAN:POOL  hash   compact address → peer id, then 1 if its download still counts
    PREFIX HASH :SPAN:h     hash   host → ports of it
    PREFIX HASH :d          number of completed downloads
    PREFIX t:SPAN           set    info-hashes that have peers
    PREFIX f:SPAN           hash   host → torrents that it announced first
    PREFIX n:SPAN           hash   pool → peers of all swarms
    PREFIX d                number of completed downloads of all swarms

HASH is in hex. Pools are numbered as in swarm_table.py: leechers and seeds of IPv4, then of IPv6.
"""

from __future__ import annotations

_COMMON = """
local prefix, span_s = KEYS[1], tonumber(ARGV[1])
local span = math.floor(tonumber(redis.call('TIME')[1]) / span_s)
local spans = {span, span - 1}
local function at(base, when, what) return base .. ':' .. when .. ':' .. what end
local function both(command, base, what)
  return redis.call(command, at(base, span, what)) + redis.call(command, at(base, span - 1, what))
end
local function counted(base)
  local seeds = both('HLEN', base, 1) + both('HLEN', base, 3)
  local leechers = both('HLEN', base, 0) + both('HLEN', base, 2)
  return seeds, leechers, tonumber(redis.call('GET', base .. ':d') or 0) or 0
end
local function span_of(what, when) return prefix .. what .. ':' .. when end
"""

ANNOUNCE = (
    _COMMON
    + """
local hash, compact, peer_id = ARGV[2], ARGV[3], ARGV[4]
local pool, event, numwant = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local asked, rather = ARGV[8], ARGV[9]
local max_torrents, max_founded = tonumber(ARGV[10]), tonumber(ARGV[11])
local max_peers, max_in_swarm = tonumber(ARGV[12]), tonumber(ARGV[13])
local max_of_host, keep_s = tonumber(ARGV[14]), tonumber(ARGV[15])
math.randomseed(tonumber(ARGV[16]))
local base = prefix .. hash
local ends = (span + 2) * span_s
local function host_of(address) return string.sub(address, 1, #address == 6 and 4 or 8) end
local host = host_of(compact)

local function less(key, field)
  if redis.call('HINCRBY', key, field, -1) <= 0 then redis.call('HDEL', key, field) end
end
local function more(key, field)
  if redis.call('HINCRBY', key, field, 1) == 1 then redis.call('EXPIREAT', key, ends) end
end
local function forget(address, when, from)
  redis.call('HDEL', at(base, when, from), address)
  less(span_of('n', when), from)
  less(at(base, when, 'h'), host_of(address))
end

-- A random one goes; of those, who was silent longest.
local function make_room()
  for _, when in ipairs({span - 1, span}) do
    for from = 0, 3 do
      local one = redis.call('HRANDFIELD', at(base, when, from))
      if one then return forget(one, when, from) end
    end
  end
end

-- Where it is: whoever moves from an address of one family to the other is another peer.
local was_span, was_pool, value
local family = pool - pool % 2
for _, when in ipairs(spans) do
  for from = family, family + 1 do
    local found = not value and redis.call('HGET', at(base, when, from), compact)
    if found then was_span, was_pool, value = when, from, found end
  end
end

if event == 3 then
  if value then forget(compact, was_span, was_pool) end
  local seeds, leechers, downloads = counted(base)
  if seeds + leechers == 0 then
    redis.call('SREM', span_of('t', span), hash)
    redis.call('SREM', span_of('t', span - 1), hash)
  end
  return {seeds, leechers, downloads}
end

if not value then
  local before, now = span_of('t', span - 1), span_of('t', span)
  if redis.call('SISMEMBER', now, hash) + redis.call('SISMEMBER', before, hash) == 0 then
    local torrents = redis.call('SCARD', now) + redis.call('SCARD', before)
    if torrents >= max_torrents then return 'this tracker is full' end
    local founded = 0
    for _, when in ipairs(spans) do
      founded = founded + tonumber(redis.call('HGET', span_of('f', when), host) or 0)
    end
    if torrents >= max_torrents / 2 and founded >= max_founded then
      return 'too many torrents from your address'
    end
    more(span_of('f', span), host)
  end
  local ports = 0
  for _, when in ipairs(spans) do
    ports = ports + tonumber(redis.call('HGET', at(base, when, 'h'), host) or 0)
  end
  if ports >= max_of_host then return 'too many peers from your address' end
  local all = 0
  for _, when in ipairs(spans) do
    for _, count in ipairs(redis.call('HVALS', span_of('n', when))) do
      all = all + tonumber(count)
    end
  end
  local seeds, leechers = counted(base)
  local is_full = all >= max_peers
  if is_full and seeds + leechers == 0 then return 'this tracker is full' end
  if is_full or seeds + leechers >= max_in_swarm then make_room() end
end

local may_complete = value and string.sub(value, -1) or '1'
if pool % 2 == 0 then
  may_complete = '1'
elseif event ~= 0 then
  if event == 1 and may_complete == '1' then
    redis.call('INCR', base .. ':d')
    redis.call('INCR', prefix .. 'd')
  end
  may_complete = '0'
end
redis.call('EXPIRE', base .. ':d', keep_s)

if value and not (was_span == span and was_pool == pool) then
  forget(compact, was_span, was_pool)
end
local here = at(base, span, pool)
if redis.call('HSET', here, compact, peer_id .. may_complete) == 1 then
  redis.call('EXPIREAT', here, ends)
  more(span_of('n', span), pool)
  more(at(base, span, 'h'), host)
end
if redis.call('SADD', span_of('t', span), hash) == 1 then
  redis.call('SREM', span_of('t', span - 1), hash)
  redis.call('EXPIREAT', span_of('t', span), ends)
end

local seeds, leechers, downloads = counted(base)
local reply = {seeds, leechers, downloads}
local function draw(pools, wanted)
  -- How many of each key: as if all were laid end to end and drawn from; then those, by Valkey.
  local keys, left, total = {}, {}, 0
  for from in string.gmatch(pools, '%d') do
    for _, when in ipairs(spans) do
      local key = at(base, when, from)
      local size = redis.call('HLEN', key) - (key == here and 1 or 0)
      if size > 0 then
        keys[#keys + 1], left[#left + 1], total = key, size, total + size
      end
    end
  end
  local wants = {}
  for _ = 1, math.min(wanted, total) do
    local place, index = math.random(total), 1
    while place > left[index] do
      place, index = place - left[index], index + 1
    end
    left[index], total = left[index] - 1, total - 1
    wants[index] = (wants[index] or 0) + 1
  end
  local drawn = 0
  for index, count in pairs(wants) do
    local own = keys[index] == here
    local found = redis.call('HRANDFIELD', keys[index], count + (own and 1 or 0), 'WITHVALUES')
    for place = 1, #found, 2 do
      if found[place] ~= compact and count > 0 then
        reply[#reply + 1], reply[#reply + 2] = found[place], found[place + 1]
        count, drawn = count - 1, drawn + 1
      end
    end
  end
  return drawn
end
local drawn = draw(asked, numwant)
if drawn < numwant and rather ~= '' then draw(rather, numwant - drawn) end
return reply
"""
)
"""KEYS: prefix. ARGV: see the first lines. Returns why not, or seeds, leechers, downloads, then
address and value of each peer that was drawn."""

COUNT = (
    _COMMON
    + """
local reply = {}
for index = 2, #ARGV do
  local seeds, leechers, downloads = counted(prefix .. ARGV[index])
  reply[#reply + 1], reply[#reply + 2], reply[#reply + 3] = seeds, leechers, downloads
end
return reply
"""
)
"""KEYS: prefix. ARGV: seconds of a span, info-hashes. Returns three numbers for each."""

CENSUS = (
    _COMMON
    + """
local sums = {0, 0, 0, 0}
for _, when in ipairs(spans) do
  for from = 0, 3 do
    sums[from + 1] = sums[from + 1] + tonumber(redis.call('HGET', span_of('n', when), from) or 0)
  end
end
local now, before = span_of('t', span), span_of('t', span - 1)
local torrents = redis.call('SCARD', now) + redis.call('SCARD', before)
local hashes = {}
if torrents <= tonumber(ARGV[2]) then hashes = redis.call('SUNION', now, before) end
return {torrents, tonumber(redis.call('GET', prefix .. 'd') or 0) or 0, sums, hashes}
"""
)
"""KEYS: prefix. ARGV: seconds of a span, most torrents that are named. Returns torrents, downloads,
peers of each pool, and the info-hashes unless there are more."""
