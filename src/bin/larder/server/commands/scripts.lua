-- What a script finds around itself: redis.call and its kin, and globals that it can read but not change.
-- Gets the library of globals and returns a function that runs one script.

local set_environment, real_error, line_of_script, sha1_of, text_of = setfenv, error, script_line, sha1_of, error_text
local real_pcall, real_xpcall = pcall, xpcall

local function error_of(text)
  if string.sub(text, 1, 1) == "-" then
    text = string.sub(text, 2)
    local at = string.find(text, " ", 1, true)
    if not at then text = "ERR " .. text end
  else
    text = "ERR " .. text
  end
  return { err = (string.gsub(text, "[\r\n]+$", "")) }
end

local redis = {}

function redis.error_reply(text)
  if type(text) ~= "string" then return error_of("wrong number or type of arguments") end
  if string.sub(text, 1, 1) ~= "-" then text = "-" .. text end
  return error_of(text)
end

function redis.status_reply(text)
  if type(text) ~= "string" then return error_of("wrong number or type of arguments") end
  return { ok = text }
end

function redis.sha1hex(...)
  if select("#", ...) ~= 1 then real_error(error_of("wrong number of arguments"), 0) end
  return sha1_of(tostring((...)))
end

function redis.log() end

function redis.replicate_commands() return true end

function redis.set_repl() end

function redis.setresp(version)
  if version ~= 2 then real_error(error_of("RESP version must be 2."), 0) end
end

redis.LOG_DEBUG, redis.LOG_VERBOSE, redis.LOG_NOTICE, redis.LOG_WARNING = 0, 1, 2, 3
redis.REPL_NONE, redis.REPL_SLAVE, redis.REPL_REPLICA, redis.REPL_AOF, redis.REPL_ALL = 0, 2, 2, 1, 3
redis.REDIS_VERSION, redis.REDIS_VERSION_NUM = "7.0.15", 0x0007000f

-- A failed redis.call raises an object of the host; to scripts it is a table with the error's text.
local function as_table(err)
  if type(err) == "userdata" then return { err = text_of(err) } end
  return err
end

local function told(done, ...)
  if done then return true, ... end
  local err = as_table((...))
  if type(err) == "table" and type(rawget(err, "err")) == "string" then err = rawget(err, "err") end
  return false, err
end

-- A chunk of byte code could do anything to the interpreter.
local function text_only(load_text)
  return function(chunk, ...)
    if type(chunk) ~= "string" or string.byte(chunk, 1) == 27 then return nil, "only text can be loaded" end
    local loaded, why = load_text(chunk, ...)
    if loaded then set_environment(loaded, ENVIRONMENT) end
    return loaded, why
  end
end

-- Tables that scripts cannot change, neither by assignment nor by rawset.
local is_sealed = setmetatable({}, { __mode = "k" })

local function seal(table, index)
  is_sealed[table] = true
  return setmetatable(table, {
    __index = index,
    __newindex = function() real_error("Attempt to modify a readonly table", 2) end,
    __metatable = false,
  })
end

local function sealed(library) return seal({}, library) end

local real_rawset = rawset
local function checked_rawset(table, key, value)
  if is_sealed[table] then real_error("Attempt to modify a readonly table", 2) end
  return real_rawset(table, key, value)
end

local globals = {
  assert = assert, error = error, getmetatable = getmetatable, ipairs = ipairs, next = next, pairs = pairs,
  pcall = function(...) return told(real_pcall(...)) end, rawequal = rawequal, rawget = rawget, rawset = checked_rawset, select = select, setmetatable = setmetatable,
  tonumber = tonumber, tostring = tostring, type = type, unpack = unpack,
  xpcall = function(f, handler) return real_xpcall(f, function(err) return handler(as_table(err)) end) end, _VERSION = _VERSION,
  string = {}, table = {}, math = {}, os = { clock = clock_of }, redis = sealed(redis), server = sealed(redis),
}
for _, name in ipairs({ "string", "table", "math" }) do
  local library = {}
  for key, value in pairs(_G[name]) do library[key] = value end
  library.dump = nil
  globals[name] = sealed(library)
end
globals.os = sealed(globals.os)
ENVIRONMENT = seal({}, function(_, name)
  local value = globals[name]
  if value == nil then
    real_error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
  end
  return value
end)
globals.loadstring = text_only(loadstring)
globals._G = ENVIRONMENT

-- Strings find their methods in the library that scripts see: nobody changes it for the next script.
getmetatable("").__index = globals.string
getmetatable("").__metatable = false

-- An error as a table that says where in the script it came from.
local function located(err)
  err = as_table(err)
  if type(err) ~= "table" then err = { err = "ERR " .. tostring(err) } end
  local line = line_of_script()
  if line then err.source, err.line = "@user_script", line end
  return err
end

return function(script, keys, argv, call, pcall)
  redis.call, redis.pcall, globals.KEYS, globals.ARGV = call, pcall, keys, argv
  set_environment(script, ENVIRONMENT)
  local done, result = real_xpcall(script, located)
  redis.call, redis.pcall, globals.KEYS, globals.ARGV = nil, nil, nil, nil
  return done, result
end
