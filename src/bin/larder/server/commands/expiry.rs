//! When keys expire: EXPIRE and its kin.

use super::super::execute::{Call, Done, Failure, cut, failure, failure_of};
use super::super::keyspace::event;
use super::super::request::Args;
use super::integer;
use super::strings::{MILLISECONDS, SECONDS, UNIX_MILLISECONDS, UNIX_SECONDS, Unit};

/// On what the change of an expiry depends.
#[derive(Default)]
struct Conditions {
    nx: bool,
    xx: bool,
    gt: bool,
    lt: bool,
}

impl Conditions {
    fn parse(args: Args<'_>) -> Result<Self, Failure> {
        let mut conditions = Self::default();
        for arg in args.from(3).iter() {
            match arg.to_ascii_lowercase().as_slice() {
                b"nx" => conditions.nx = true,
                b"xx" => conditions.xx = true,
                b"gt" => conditions.gt = true,
                b"lt" => conditions.lt = true,
                _ => return Err(failure_of([b"ERR Unsupported option ", cut(arg, arg.len())].concat())),
            }
        }
        if conditions.nx && (conditions.xx || conditions.gt || conditions.lt) {
            return Err(failure("ERR NX and XX, GT or LT options at the same time are not compatible"));
        }
        if conditions.gt && conditions.lt {
            return Err(failure("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    /// `present` is the expiry that the key has; without one it lives longest.
    fn allow(&self, present: Option<i64>, wanted: i64) -> bool {
        !(self.nx && present.is_some()
            || self.xx && present.is_none()
            || self.gt && present.is_none_or(|present| wanted <= present)
            || self.lt && present.is_some_and(|present| wanted >= present))
    }
}

fn change(call: &mut Call<'_>, args: Args<'_>, unit: Unit) -> Done {
    let key = args.get(1);
    let conditions = Conditions::parse(args)?;
    let invalid = || failure_of(format!("ERR invalid expire time in '{}' command", call.spec.name));
    let given = integer(args.get(2))?;
    let ms = if unit.is_seconds { given.checked_mul(1_000).ok_or_else(invalid)? } else { given };
    let now_ms = call.server.now_ms()?;
    let wanted = if unit.is_relative { ms.checked_add(now_ms).ok_or_else(invalid)? } else { ms };
    let Some(present) = call.server.expiry(key)? else {
        call.reply.integer(0);
        return Ok(());
    };
    if !conditions.allow(i64::try_from(present).ok().filter(|at| *at != 0), wanted) {
        call.reply.integer(0);
        return Ok(());
    }
    if wanted <= now_ms {
        call.server.remove(key)?;
        call.server.notify(event::GENERIC, "del", key);
    } else {
        call.server.set_expiry(key, wanted.unsigned_abs())?;
        call.server.notify(event::GENERIC, "expire", key);
    }
    call.reply.integer(1);
    Ok(())
}

pub fn expire(call: &mut Call<'_>, args: Args<'_>) -> Done {
    change(call, args, SECONDS)
}

pub fn pexpire(call: &mut Call<'_>, args: Args<'_>) -> Done {
    change(call, args, MILLISECONDS)
}

pub fn expireat(call: &mut Call<'_>, args: Args<'_>) -> Done {
    change(call, args, UNIX_SECONDS)
}

pub fn pexpireat(call: &mut Call<'_>, args: Args<'_>) -> Done {
    change(call, args, UNIX_MILLISECONDS)
}

/// -2 without the key, -1 without an expiry; `f` makes the reply of expiry and now.
fn ask(call: &mut Call<'_>, args: Args<'_>, f: impl FnOnce(i64, i64) -> i64) -> Done {
    let expiry = call.server.expiry(args.get(1))?;
    call.server.count_lookup(args.get(1), expiry.is_some());
    let now_ms = call.server.now_ms()?;
    call.reply.integer(match expiry {
        None => -2,
        Some(0) => -1,
        Some(expires_at_ms) => f(i64::try_from(expires_at_ms).unwrap_or(i64::MAX), now_ms),
    });
    Ok(())
}

pub fn ttl(call: &mut Call<'_>, args: Args<'_>) -> Done {
    ask(call, args, |at_ms, now_ms| (at_ms.saturating_sub(now_ms).max(0).saturating_add(500)) / 1_000)
}

pub fn pttl(call: &mut Call<'_>, args: Args<'_>) -> Done {
    ask(call, args, |at_ms, now_ms| at_ms.saturating_sub(now_ms).max(0))
}

pub fn expiretime(call: &mut Call<'_>, args: Args<'_>) -> Done {
    ask(call, args, |at_ms, _| ((i128::from(at_ms) + 500) / 1_000) as i64)
}

pub fn pexpiretime(call: &mut Call<'_>, args: Args<'_>) -> Done {
    ask(call, args, |at_ms, _| at_ms)
}

pub fn persist(call: &mut Call<'_>, args: Args<'_>) -> Done {
    let key = args.get(1);
    let expires = call.server.expiry(key)?.is_some_and(|at_ms| at_ms != 0);
    if expires {
        call.server.set_expiry(key, 0)?;
        call.server.notify(event::GENERIC, "persist", key);
    }
    call.reply.integer(i64::from(expires));
    Ok(())
}
