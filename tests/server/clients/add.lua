local sum = 0
for _, number in ipairs(ARGV) do sum = sum + number end
redis.call("set", KEYS[1], sum)
return redis.call("get", KEYS[1])
