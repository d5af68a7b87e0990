//! Scripts: EVAL and its kin, in Lua 5.1.
//!
//! A script runs to its end before anything else does, as a command does. It is given nothing but its keys and
//! arguments, the string, table and math libraries, and commands; one that runs for too long is ended, and keeps what
//! it has written so far.
//!
//! Not here: what surrounds a script within Lua (`scripts.lua`).

use super::super::execute::{Call, Done, Failure, failure, failure_of};
use super::super::reply::Reply;
use super::super::request::{Args, OwnedArgs};
use super::{integer, is, numbers};
use mlua::{Function, HookTriggers, Lua, LuaOptions, LuaString, StdLib, Table, Value, Variadic, VmState};
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// With this byte a compiled chunk begins. One could do anything to the interpreter.
const BYTE_CODE_MARK: u8 = 0x1B;
/// How often a script's time is looked at, instructions.
const INSTRUCTIONS_PER_LOOK: u32 = 10_000;
/// What all scripts together may hold at a time, bytes.
const MEMORY_BYTES_MAX: usize = 256 << 20;
/// What a script is called in errors.
const SCRIPT_NAME: &str = "@user_script";
/// Digits of a script's name.
const SHA_LEN: usize = 40;
/// How deep what a script returns may be nested.
const DEPTH_MAX: usize = 100;

/// What a failed redis.call raises.
#[derive(Debug)]
struct Raised(Vec<u8>);

impl std::fmt::Display for Raised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl std::error::Error for Raised {}

/// The scripts that are known, and the interpreter, made when it is first needed.
#[derive(Default)]
pub struct Scripts {
    engine: Option<Engine>,
    /// By the SHA-1 of their text, as 40 small hexadecimal digits.
    sources: HashMap<String, Vec<u8>>,
}

struct Engine {
    lua: Lua,
    /// Runs a compiled script; what `scripts.lua` returns.
    run: Function,
    /// Lua's `loadstring`.
    load: Function,
    compiled: HashMap<String, Function>,
}

impl Scripts {
    pub fn count(&self) -> usize {
        self.sources.len()
    }

    pub fn memory_bytes(&self) -> usize {
        self.engine.as_ref().map_or(0, |engine| engine.lua.used_memory())
    }
}

impl Engine {
    fn new() -> mlua::Result<Self> {
        let lua = Lua::new_with(StdLib::STRING | StdLib::TABLE | StdLib::MATH, LuaOptions::default())?;
        lua.set_memory_limit(MEMORY_BYTES_MAX)?;
        let begun = Instant::now();
        lua.globals().set("clock_of", lua.create_function(move |_, ()| Ok(begun.elapsed().as_secs_f64()))?)?;
        lua.globals().set("sha1_of", lua.create_function(|_, text: LuaString| Ok(sha_of(&text.as_bytes())))?)?;
        lua.globals().set("script_line", lua.create_function(|lua, ()| Ok(script_line(lua)))?)?;
        let error_text = |lua: &Lua, error: Value| lua.create_string(raised_text(&error));
        lua.globals().set("error_text", lua.create_function(error_text)?)?;
        let load = lua.globals().get("loadstring")?;
        let run = lua.load(include_str!("scripts.lua")).set_name("@scripts.lua").eval()?;
        Ok(Self { lua, run, load, compiled: HashMap::new() })
    }

    fn compile(&mut self, sha: &str, source: &[u8]) -> Result<Function, Failure> {
        if let Some(function) = self.compiled.get(sha) {
            return Ok(function.clone());
        }
        // The line of a shebang stays a line, so that errors name the right ones.
        let text = match source.strip_prefix(b"#!lua") {
            Some(rest) => rest.iter().position(|b| *b == b'\n').map_or(&b""[..], |at| &rest[at..]),
            None => source,
        };
        // By Lua's own function, because the interpreter's interface would make its message valid UTF-8.
        let loaded = match text.first() {
            Some(&BYTE_CODE_MARK) => return Err(failure("ERR Error compiling script (new function): byte code")),
            _ => self.lua.create_string(text).and_then(|text| self.load.call((text, SCRIPT_NAME))),
        };
        let loaded: mlua::Result<(Option<Function>, Option<LuaString>)> = loaded;
        let function = match loaded.map_err(|error| broken(&error))? {
            (Some(function), _) => function,
            (None, message) => {
                let message = message.map_or_else(Vec::new, |text| text.as_bytes().to_vec());
                return Err(failure_of([b"ERR Error compiling script (new function): ", &message[..]].concat()));
            }
        };
        self.compiled.insert(sha.into(), function.clone());
        Ok(function)
    }
}

/// The text of an error that came from outside of Lua.
fn raised_text(error: &Value) -> Vec<u8> {
    let Value::Error(error) = error else { return b"ERR unknown error".to_vec() };
    let mut cause = &**error;
    while let mlua::Error::CallbackError { cause: inner, .. } = cause {
        cause = inner;
    }
    match cause {
        mlua::Error::ExternalError(inner) => match inner.downcast_ref::<Raised>() {
            Some(raised) => raised.0.clone(),
            None => format!("ERR {inner}").into_bytes(),
        },
        mlua::Error::RuntimeError(text) => format!("ERR {text}").into_bytes(),
        other => format!("ERR {other}").into_bytes(),
    }
}

/// The line of the script that is being executed, in it or further in.
fn script_line(lua: &Lua) -> Option<usize> {
    let line_at = |level| {
        lua.inspect_stack(level, |frame| {
            frame.source().source.is_some_and(|source| source == SCRIPT_NAME).then(|| frame.current_line()).flatten()
        })
    };
    (0..).map_while(line_at).find_map(|line| line)
}

fn sha_of(source: &[u8]) -> String {
    sha1_smol::Sha1::from(source).digest().to_string()
}

fn broken(error: &mlua::Error) -> Failure {
    failure_of(format!("ERR Error running script: {error}"))
}

/// Takes the interpreter out, so that a script can call commands with all of the server.
fn with_engine<R>(
    call: &mut Call<'_>,
    f: impl FnOnce(&mut Call<'_>, &mut Engine) -> Result<R, Failure>,
) -> Result<R, Failure> {
    let mut engine = match call.server.scripts.engine.take() {
        Some(engine) => engine,
        None => Engine::new().map_err(|error| broken(&error))?,
    };
    let outcome = f(call, &mut engine);
    call.server.scripts.engine = Some(engine);
    outcome
}

/// How many of the arguments are keys.
fn key_count(args: Args<'_>) -> Result<usize, Failure> {
    let count = integer(args.get(2))?;
    if count > args.len() as i64 - 3 {
        return Err(failure("ERR Number of keys can't be greater than number of args"));
    }
    usize::try_from(count).map_err(|_| failure("ERR Number of keys can't be negative"))
}

fn evaluate(call: &mut Call<'_>, args: Args<'_>, sha: &str, key_count: usize, is_read_only: bool) -> Done {
    let source = call.server.scripts.sources.get(sha).cloned().unwrap_or_default();
    let is_read_only = is_read_only || declares_no_writes(&source)?;
    // What the script calls is shown behind it.
    if !call.server.monitors.is_empty() {
        call.server.feed_monitors(Some(call.client), args);
    }
    let script_max = call.server.settings.script_max;
    with_engine(call, |call, engine| {
        let script = engine.compile(sha, &source)?;
        let outcome = run(call, engine, &script, args, key_count, is_read_only, script_max);
        let (is_done, result) = outcome.map_err(|error| broken(&error))?;
        if is_done {
            return write(call.reply, &result, 0);
        }
        Err(failed(&result, sha))
    })
}

/// Whether the script's first line says that it writes nothing (`#!lua flags=no-writes`).
fn declares_no_writes(source: &[u8]) -> Result<bool, Failure> {
    let Some(rest) = source.strip_prefix(b"#!") else { return Ok(false) };
    let line = String::from_utf8_lossy(rest.split(|b| *b == b'\n').next().unwrap_or_default()).into_owned();
    let mut words = line.split_whitespace();
    let engine = words.next().unwrap_or_default();
    if engine != "lua" {
        return Err(failure_of(format!("ERR Unexpected engine in script shebang: {engine}")));
    }
    let mut is_read_only = false;
    for word in words {
        let flags =
            word.strip_prefix("flags=").ok_or_else(|| failure_of(format!("ERR Unknown lua shebang option: {word}")))?;
        for flag in flags.split(',').filter(|flag| !flag.is_empty()) {
            match flag {
                "no-writes" => is_read_only = true,
                "allow-oom" | "allow-stale" | "no-cluster" | "allow-cross-slot-keys" => {}
                other => return Err(failure_of(format!("ERR Unexpected flag in script shebang: {other}"))),
            }
        }
    }
    Ok(is_read_only)
}

fn run(
    call: &mut Call<'_>,
    engine: &Engine,
    script: &Function,
    args: Args<'_>,
    key_count: usize,
    is_read_only: bool,
    script_max: Duration,
) -> mlua::Result<(bool, Value)> {
    let lua = &engine.lua;
    let strings = |args: Args<'_>, count: usize| -> mlua::Result<Table> {
        let table = lua.create_table_with_capacity(count, 0)?;
        for (i, arg) in args.iter().take(count).enumerate() {
            table.raw_set(i + 1, lua.create_string(arg)?)?;
        }
        Ok(table)
    };
    let keys = strings(args.from(3), key_count)?;
    let argv = strings(args.from(3 + key_count), args.len() - 3 - key_count)?;
    let begun = Instant::now();
    lua.set_hook(HookTriggers::new().every_nth_instruction(INSTRUCTIONS_PER_LOOK), move |lua, _| {
        if begun.elapsed() <= script_max {
            return Ok(VmState::Continue);
        }
        // A script may catch the error. From now on every instruction raises it, also those that do the catching.
        let error = move || mlua::Error::runtime(format!("the script ran for more than {} ms", script_max.as_millis()));
        lua.set_hook(HookTriggers::new().every_nth_instruction(1), move |_, _| Err(error()))?;
        Err(error())
    })?;
    let call = RefCell::new(call);
    let outcome = lua.scope(|scope| {
        let carry_out = |lua: &Lua, arguments: Variadic<Value>| -> mlua::Result<Value> {
            let owned = match texts(&arguments) {
                Ok(owned) => owned,
                Err(sentence) => return error_table(lua, sentence.as_bytes()),
            };
            let mut call = call.try_borrow_mut().map_err(mlua::Error::external)?;
            match call.carry_out_for_script(owned.args(), is_read_only) {
                Ok(reply) => read(lua, &mut &reply[..]),
                Err(failure) => error_table(lua, &failure.text()),
            }
        };
        let protected = scope.create_function(carry_out)?;
        let raising = scope.create_function(move |lua, arguments: Variadic<Value>| {
            let reply = carry_out(lua, arguments)?;
            let error = reply.as_table().and_then(|table| table.raw_get::<Option<LuaString>>("err").ok().flatten());
            match error {
                Some(text) => Err(mlua::Error::external(Raised(text.as_bytes().to_vec()))),
                None => Ok(reply),
            }
        })?;
        engine.run.call::<(bool, Value)>((script.clone(), keys, argv, raising, protected))
    });
    lua.remove_hook();
    outcome
}

/// The arguments of a command as bytes; numbers with all their digits.
fn texts(arguments: &[Value]) -> Result<OwnedArgs, &'static str> {
    if arguments.is_empty() {
        return Err("ERR Please specify at least one argument for this redis lib call");
    }
    let mut all = Vec::with_capacity(arguments.len());
    for argument in arguments {
        all.push(match argument {
            Value::String(text) => text.as_bytes().to_vec(),
            Value::Integer(number) => numbers::show_17_digits(*number as f64).into_bytes(),
            Value::Number(number) => numbers::show_17_digits(*number).into_bytes(),
            _ => return Err("ERR Lua redis lib command arguments must be strings or integers"),
        });
    }
    Ok(OwnedArgs::of(all))
}

/// The reply to a script that ended with an error.
fn failed(error: &Value, sha: &str) -> Failure {
    let Value::Table(table) = error else { return failure_of(format!("ERR Error running script {sha}")) };
    let text = table.raw_get::<LuaString>("err").map(|text| text.as_bytes().to_vec()).unwrap_or_default();
    let mut text = if text.is_empty() { b"ERR unknown error".to_vec() } else { text };
    if let (Ok(source), Ok(line)) = (table.raw_get::<String>("source"), table.raw_get::<i64>("line")) {
        text.extend_from_slice(format!(" script: {sha}, on {source}:{line}.").as_bytes());
    }
    failure_of(text)
}

fn error_table(lua: &Lua, text: &[u8]) -> mlua::Result<Value> {
    let table = lua.create_table()?;
    table.raw_set("err", lua.create_string(text)?)?;
    Ok(Value::Table(table))
}

/// What a RESP2 reply is to a script; `bytes` goes on behind it.
fn read(lua: &Lua, bytes: &mut &[u8]) -> mlua::Result<Value> {
    let malformed = || mlua::Error::runtime("a reply that is none");
    let end = bytes.windows(2).position(|pair| pair == b"\r\n").ok_or_else(malformed)?;
    let (line, rest) = (&bytes[..end], &bytes[end + 2..]);
    let (kind, text) = line.split_first().ok_or_else(malformed)?;
    *bytes = rest;
    let number = || std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok()).ok_or_else(malformed);
    match kind {
        b'+' => {
            let table = lua.create_table()?;
            table.raw_set("ok", lua.create_string(text)?)?;
            Ok(Value::Table(table))
        }
        b'-' => error_table(lua, text),
        b':' => Ok(Value::Number(number()? as f64)),
        b'$' => match usize::try_from(number()?) {
            Err(_) => Ok(Value::Boolean(false)),
            Ok(len) => {
                let value = bytes.get(..len).ok_or_else(malformed)?;
                *bytes = bytes.get(len + 2..).ok_or_else(malformed)?;
                Ok(Value::String(lua.create_string(value)?))
            }
        },
        b'*' => match usize::try_from(number()?) {
            Err(_) => Ok(Value::Boolean(false)),
            Ok(count) => {
                let table = lua.create_table()?;
                for i in 1..=count {
                    table.raw_set(i, read(lua, bytes)?)?;
                }
                Ok(Value::Table(table))
            }
        },
        _ => Err(malformed()),
    }
}

/// Writes what a script returned.
fn write(reply: &mut Reply, value: &Value, depth: usize) -> Done {
    if depth > DEPTH_MAX {
        return Err(failure("ERR reached lua stack limit"));
    }
    match value {
        Value::String(text) => reply.bulk(&text.as_bytes()),
        Value::Integer(number) => reply.integer(*number),
        Value::Number(number) => reply.integer(truncated(*number)),
        Value::Boolean(true) => reply.integer(1),
        Value::Table(table) => return write_table(reply, table, depth),
        _ => reply.null(),
    }
    Ok(())
}

fn write_table(reply: &mut Reply, table: &Table, depth: usize) -> Done {
    let field = |name: &str| table.raw_get::<Value>(name).unwrap_or(Value::Nil);
    if let Value::String(text) = field("err") {
        let text = text.as_bytes();
        reply.error(text.strip_prefix(b"-").unwrap_or(&text));
        return Ok(());
    }
    if let Value::String(text) = field("ok") {
        let line: Vec<u8> =
            text.as_bytes().iter().map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { *b }).collect();
        reply.bytes.push(b'+');
        reply.bytes.extend_from_slice(&line);
        reply.bytes.extend_from_slice(b"\r\n");
        return Ok(());
    }
    let mut values = Vec::new();
    loop {
        match table.raw_get::<Value>(values.len() + 1) {
            Ok(Value::Nil) | Err(_) => break,
            Ok(value) => values.push(value),
        }
    }
    reply.array(values.len());
    values.iter().try_for_each(|value| write(reply, value, depth + 1))
}

fn eval_source(call: &mut Call<'_>, args: Args<'_>, is_read_only: bool) -> Done {
    let key_count = key_count(args)?;
    let sha = sha_of(args.get(1));
    let is_new = !call.server.scripts.sources.contains_key(&sha);
    if is_new {
        call.server.scripts.sources.insert(sha.clone(), args.get(1).to_vec());
        if let Err(failure) = with_engine(call, |_, engine| engine.compile(&sha, args.get(1))) {
            call.server.scripts.sources.remove(&sha);
            return Err(failure);
        }
    }
    evaluate(call, args, &sha, key_count, is_read_only)
}

fn eval_known(call: &mut Call<'_>, args: Args<'_>, is_read_only: bool) -> Done {
    let unknown = failure("NOSCRIPT No matching script. Please use EVAL.");
    if args.get(1).len() != SHA_LEN {
        return Err(unknown);
    }
    let key_count = key_count(args)?;
    let sha = String::from_utf8_lossy(args.get(1)).to_lowercase();
    if !call.server.scripts.sources.contains_key(&sha) {
        return Err(unknown);
    }
    evaluate(call, args, &sha, key_count, is_read_only)
}

pub fn eval(call: &mut Call<'_>, args: Args<'_>) -> Done {
    eval_source(call, args, false)
}

pub fn eval_ro(call: &mut Call<'_>, args: Args<'_>) -> Done {
    eval_source(call, args, true)
}

pub fn evalsha(call: &mut Call<'_>, args: Args<'_>) -> Done {
    eval_known(call, args, false)
}

pub fn evalsha_ro(call: &mut Call<'_>, args: Args<'_>) -> Done {
    eval_known(call, args, true)
}

pub fn script_load(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let source = args.get(2);
    let sha = sha_of(source);
    with_engine(call, |_, engine| engine.compile(&sha, source))?;
    call.server.scripts.sources.insert(sha.clone(), source.to_vec());
    call.reply.bulk(sha.as_bytes());
    Ok(())
}

pub fn script_exists(call: &mut Call<'_>, args: Args<'_>) -> Done {
    call.reply.array(args.len() - 2);
    for sha in args.from(2).iter() {
        let sha = String::from_utf8_lossy(sha).to_lowercase();
        call.reply.integer(i64::from(call.server.scripts.sources.contains_key(&sha)));
    }
    Ok(())
}

pub fn script_flush(call: &mut Call<'_>, args: Args<'_>) -> Done {
    if args.len() > 3 || (args.len() == 3 && !is(args.get(2), "SYNC") && !is(args.get(2), "ASYNC")) {
        return Err(failure("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
    }
    call.server.scripts = Scripts::default();
    call.reply.ok();
    Ok(())
}

pub fn script_help(call: &mut Call<'_>, _: Args<'_>) -> Done {
    super::help(
        call,
        "SCRIPT",
        &[
            "EXISTS <sha1> [<sha1> ...]",
            "    Whether scripts of these digests are known.",
            "FLUSH [ASYNC|SYNC]",
            "    Forget all scripts.",
            "LOAD <script>",
            "    Remember a script without running it.",
        ],
    )
}

/// A number of a script as the integer of its reply. What no integer of 64 bits holds comes to the smallest one: so the
/// processors convert it that Redis mostly runs on, and so it replies.
fn truncated(number: f64) -> i64 {
    // 2^63, which is one more than the greatest.
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    if (-BOUND..BOUND).contains(&number) { number as i64 } else { i64::MIN }
}
