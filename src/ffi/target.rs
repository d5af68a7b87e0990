//! What a handle is open on: a directory or, in a library that has them, a server.
//!
//! One match per call. In a library without the feature `remote` there is one kind, and nothing to match.
//!
//! Not here: what either does ([`crate::store`], `crate::remote`).

use super::arguments::invalid;
use super::options::Chosen;
use crate::error::{Error, Result, Status};
#[cfg(feature = "remote")]
use crate::remote::{Remote, RemoteCursor, RemoteView};
use crate::stats::Stats;
use crate::store::{BatchOp, Cursor, SetOptions, SetOutcome, Store, TtlState, VerifyReport, View};
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Schemes of the feature `remote`.
const REMOTE_SCHEMES: [&str; 3] = ["unix", "redis", "redis+cluster"];

/// What a handle is open on.
pub(super) enum Target {
    Store(Store),
    #[cfg(feature = "remote")]
    Remote(Remote),
}

/// A cursor over it.
pub(super) enum TargetCursor {
    Store(Cursor),
    #[cfg(feature = "remote")]
    Remote(RemoteCursor),
}

/// A view of one of its values.
pub(super) enum TargetView {
    Store(View),
    #[cfg(feature = "remote")]
    Remote(RemoteView),
}

/// The call on whatever it is.
macro_rules! either {
    ($target:expr, $kind:ident, $inner:ident => $call:expr) => {
        match $target {
            $kind::Store($inner) => $call,
            #[cfg(feature = "remote")]
            $kind::Remote($inner) => $call,
        }
    };
}

impl Target {
    pub(super) fn open(location: &CStr, chosen: &Chosen) -> Result<Self> {
        match scheme(location.to_bytes()) {
            #[cfg(feature = "remote")]
            Some(scheme) if REMOTE_SCHEMES.contains(&scheme) => {
                if let Some(name) = chosen.name_for_directories() {
                    let message = format!("option {name} is for directories: of \"{scheme}:\" the server decides that");
                    return Err(Error::new(Status::Unsupported, message));
                }
                Remote::open(location.to_bytes(), &chosen.options).map(Target::Remote)
            }
            _ => Store::open(directory("location", location)?, &chosen.options).map(Target::Store),
        }
    }

    pub(super) fn close(&self) -> Result<()> {
        either!(self, Target, target => target.close())
    }

    #[inline]
    pub(super) fn set(&self, key: &[u8], value: &[u8]) -> Result<()> {
        either!(self, Target, target => target.set(key, value).map(|_| ()))
    }

    #[inline]
    pub(super) fn set_with(&self, key: &[u8], value: &[u8], options: &SetOptions) -> Result<SetOutcome> {
        either!(self, Target, target => target.set_with(key, value, options))
    }

    #[inline]
    pub(super) fn get_with<R>(&self, key: &[u8], read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        either!(self, Target, target => target.get_with(key, read))
    }

    #[inline]
    pub(super) fn get_many_with(
        &self,
        keys: &[&[u8]],
        answer: impl FnMut(usize, Result<Option<&[u8]>>) -> bool,
    ) -> Result<()> {
        either!(self, Target, target => target.get_many_with(keys, answer))
    }

    #[inline]
    pub(super) fn view(&self, key: &[u8]) -> Result<Option<TargetView>> {
        match self {
            Target::Store(store) => store.view(key).map(|view| view.map(TargetView::Store)),
            #[cfg(feature = "remote")]
            Target::Remote(remote) => remote.view(key).map(|view| view.map(TargetView::Remote)),
        }
    }

    #[inline]
    pub(super) fn exists(&self, key: &[u8]) -> Result<bool> {
        either!(self, Target, target => target.exists(key))
    }

    #[inline]
    pub(super) fn del(&self, key: &[u8]) -> Result<bool> {
        either!(self, Target, target => target.del(key))
    }

    pub(super) fn ttl(&self, key: &[u8]) -> Result<TtlState> {
        either!(self, Target, target => target.ttl(key))
    }

    pub(super) fn expire(&self, key: &[u8], ttl_ms: Option<u64>) -> Result<bool> {
        either!(self, Target, target => target.expire(key, ttl_ms))
    }

    pub(super) fn write(&self, ops: &[BatchOp<'_>], sync: bool) -> Result<()> {
        either!(self, Target, target => target.write(ops, sync))
    }

    pub(super) fn len(&self) -> Result<u64> {
        either!(self, Target, target => target.len())
    }

    pub(super) fn sync(&self) -> Result<()> {
        either!(self, Target, target => target.sync())
    }

    pub(super) fn compact(&self) -> Result<()> {
        match self {
            Target::Store(store) => store.compact(),
            #[cfg(feature = "remote")]
            Target::Remote(remote) => Err(remote.unsupported("compacting")),
        }
    }

    pub(super) fn verify(&self) -> Result<VerifyReport> {
        match self {
            Target::Store(store) => store.verify(),
            #[cfg(feature = "remote")]
            Target::Remote(remote) => Err(remote.unsupported("verifying")),
        }
    }

    pub(super) fn stats(&self) -> Result<Stats> {
        match self {
            Target::Store(store) => store.stats(),
            #[cfg(feature = "remote")]
            Target::Remote(remote) => Err(remote.unsupported("statistics")),
        }
    }

    pub(super) fn cursor(&self, prefix: &[u8]) -> Result<TargetCursor> {
        match self {
            Target::Store(store) => store.cursor(prefix).map(TargetCursor::Store),
            #[cfg(feature = "remote")]
            Target::Remote(remote) => remote.cursor(prefix).map(TargetCursor::Remote),
        }
    }

    pub(super) fn refuse_writes(&self, why: &str) {
        either!(self, Target, target => target.refuse_writes(why));
    }
}

impl TargetCursor {
    pub(super) fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        either!(self, TargetCursor, cursor => cursor.next())
    }
}

impl TargetView {
    pub(super) fn bytes(&self) -> &[u8] {
        either!(self, TargetView, view => view.bytes())
    }

    /// 0 where versions are not counted.
    pub(super) fn version(&self) -> u64 {
        match self {
            TargetView::Store(view) => view.version(),
            #[cfg(feature = "remote")]
            TargetView::Remote(_) => 0,
        }
    }

    pub(super) fn expires_at_ms(&self) -> u64 {
        either!(self, TargetView, view => view.expires_at_ms())
    }
}

/// The directory that a location names; `name` is what the header calls the parameter.
pub(super) fn directory<'a>(name: &str, location: &'a CStr) -> Result<&'a Path> {
    let bytes = location.to_bytes();
    if bytes.is_empty() {
        return Err(invalid(format!("{name} is empty")));
    }
    match scheme(bytes) {
        None => Ok(Path::new(OsStr::from_bytes(bytes))),
        Some(scheme) => Err(Error::new(Status::Unsupported, no_directory(scheme))),
    }
}

/// Why a location with this scheme is no directory, and what to do.
#[cold]
fn no_directory(scheme: &str) -> String {
    let is_remote = REMOTE_SCHEMES.contains(&scheme);
    if is_remote && cfg!(feature = "remote") {
        return format!(
            "\"{scheme}:\" is a server, and this is done to directories; one of that name is \"./{scheme}:\""
        );
    }
    if is_remote {
        return format!(
            "this library was built without \"{scheme}:\"; \"make install REMOTE=1\" builds one that has it; a directory of that name is \"./{scheme}:\""
        );
    }
    format!("this build knows no location of the form \"{scheme}:\"; a directory of that name is \"./{scheme}:\"")
}

/// The scheme in front of a location's first colon, as RFC 3986 spells schemes.
fn scheme(location: &[u8]) -> Option<&str> {
    let colon = location.iter().position(|byte| *byte == b':')?;
    let name = &location[..colon];
    let is_scheme = name.first().is_some_and(u8::is_ascii_alphabetic)
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
    if is_scheme { std::str::from_utf8(name).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_told_from_directories() {
        for (location, expected) in [
            ("unix:/run/larder.sock", Some("unix")),
            ("redis://host:6379", Some("redis")),
            ("redis+cluster://a,b", Some("redis+cluster")),
            ("x-1.2:", Some("x-1.2")),
            ("/tmp/a:b", None),
            ("./unix:dir", None),
            ("dir/unix:x", None),
            ("plain", None),
            (":x", None),
            ("1st:x", None),
            ("a b:x", None),
        ] {
            assert_eq!(scheme(location.as_bytes()), expected, "{location}");
        }
    }

    #[test]
    fn an_unknown_scheme_is_unsupported_and_named() {
        let error = directory("location", c"mongodb://a").expect_err("nobody knows it");
        assert_eq!(error.status(), Status::Unsupported);
        assert!(error.message().contains("mongodb:"), "{}", error.message());
        let error = directory("source", c"redis+cluster://a").expect_err("a server is no directory");
        assert_eq!(error.status(), Status::Unsupported);
        assert!(error.message().contains("redis+cluster:"), "{}", error.message());
        assert_eq!(error.message().contains("REMOTE=1"), !cfg!(feature = "remote"));
        assert_eq!(directory("location", c"").expect_err("empty").status(), Status::InvalidArgument);
        assert_eq!(directory("location", c"\xFF\xFE").expect("any bytes").as_os_str().as_bytes(), b"\xFF\xFE");
    }
}
