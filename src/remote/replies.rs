//! What a server's replies mean, in this library's words.
//!
//! Not here: where a redirected request goes (`routes`).

use super::address::Place;
use crate::error::{Error, Result, Status};
use redis::{ServerError, Value};

/// A server's "no", as a failure. Its own words are quoted: no command but AUTH, which is not judged here, sends
/// anything secret.
pub(super) fn refusal(place: &Place, refused: &ServerError) -> Error {
    let code = refused.code();
    let status = match code {
        "OOM" => Status::NoSpace,
        "READONLY" => Status::ReadOnly,
        "WRONGTYPE" | "NOPERM" => Status::Unsupported,
        "NOAUTH" | "WRONGPASS" => Status::InvalidArgument,
        _ => Status::Io,
    };
    let message = match code {
        "WRONGTYPE" => format!("{place} holds something else than a string under this key"),
        "NOAUTH" => format!("{place} wants a password"),
        "MOVED" | "ASK" => format!("{place} is a node of a cluster: open it as redis+cluster://{place}"),
        _ => format!("{place} says: {code} {}", refused.details().unwrap_or_default()),
    };
    let status = if matches!(code, "MOVED" | "ASK") { Status::Unsupported } else { status };
    Error::new(status, message)
}

/// A reply that the command does not have.
#[cold]
pub(super) fn unexpected(place: &Place) -> Error {
    Error::new(Status::Io, format!("{place} answers what the command does not have as an answer"))
}

/// The one reply of one command.
pub(super) fn only(place: &Place, replies: Vec<Value>) -> Result<Value> {
    match <[Value; 1]>::try_from(replies) {
        Ok([Value::ServerError(refused)]) => Err(refusal(place, &refused)),
        Ok([value]) => Ok(value),
        Err(_) => Err(unexpected(place)),
    }
}

/// What EXEC answers for so many commands: their replies.
pub(super) fn executed(place: &Place, reply: Value, count: usize) -> Result<Vec<Value>> {
    match reply {
        Value::ServerError(refused) => Err(refusal(place, &refused)),
        Value::Array(values) if values.len() == count => {
            for value in &values {
                if let Value::ServerError(refused) = value {
                    return Err(refusal(place, refused));
                }
            }
            Ok(values)
        }
        _ => Err(unexpected(place)),
    }
}

pub(super) fn integer(place: &Place, value: &Value) -> Result<i64> {
    match value {
        Value::Int(number) => Ok(*number),
        _ => Err(unexpected(place)),
    }
}

/// A value, or nothing.
pub(super) fn bytes(place: &Place, value: Value) -> Result<Option<Vec<u8>>> {
    match value {
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::Nil => Ok(None),
        Value::ServerError(refused) => Err(refusal(place, &refused)),
        _ => Err(unexpected(place)),
    }
}

/// Where a request has to go instead, or that it has to wait.
pub(super) enum Detour {
    /// The slot is at another node from now on.
    Moved { slot: u16, place: Place },
    /// This request alone is for another node.
    Ask { place: Place },
    /// What the request is about is on its way: it has to be sent again.
    Wait,
    /// Nobody owns the slot, as far as the node knows.
    Down,
}

/// Whether any of these replies sends the request elsewhere. `asked` is whom a place without a host stands for.
pub(super) fn detour(asked: &Place, replies: &[Value]) -> Option<Detour> {
    replies.iter().find_map(|reply| {
        let Value::ServerError(refused) = reply else { return None };
        let named = || {
            let (slot, place) = refused.details()?.split_once(' ')?;
            Some((slot.parse::<u16>().ok()?, place_of(asked, place)?))
        };
        match refused.code() {
            "MOVED" => named().map(|(slot, place)| Detour::Moved { slot, place }),
            "ASK" => named().map(|(_, place)| Detour::Ask { place }),
            "TRYAGAIN" | "LOADING" => Some(Detour::Wait),
            "CLUSTERDOWN" | "MASTERDOWN" => Some(Detour::Down),
            _ => None,
        }
    })
}

/// `host:port` as cluster nodes write it: an address of IPv6 without brackets, nothing for their own host.
fn place_of(asked: &Place, text: &str) -> Option<Place> {
    let (host, port) = text.rsplit_once(':')?;
    Some(Place::Tcp { host: host_or(asked, host), port: port.parse().ok()? })
}

/// The host that a node names, or the one that it was asked at.
pub(super) fn host_or(asked: &Place, host: &str) -> String {
    match asked {
        Place::Tcp { host: own, .. } if host.is_empty() || host == "?" => own.clone(),
        _ => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Place {
        Place::Tcp { host: "near".into(), port: 1 }
    }

    fn error(line: &str) -> Value {
        redis::parse_redis_value(line.as_bytes()).expect("an error is a value")
    }

    #[test]
    fn a_redirection_names_slot_and_place() {
        for (line, host, port) in [
            ("-MOVED 3999 10.0.0.1:6381\r\n", "10.0.0.1", 6381),
            ("-MOVED 3999 ::1:6381\r\n", "::1", 6381),
            ("-MOVED 3999 :6381\r\n", "near", 6381),
        ] {
            let Some(Detour::Moved { slot, place }) = detour(&asked(), &[Value::Okay, error(line)]) else {
                panic!("{line}");
            };
            assert_eq!((slot, place), (3999, Place::Tcp { host: host.into(), port }), "{line}");
        }
        assert!(matches!(detour(&asked(), &[error("-ASK 1 h:2\r\n")]), Some(Detour::Ask { .. })));
        assert!(matches!(detour(&asked(), &[error("-TRYAGAIN Multiple keys\r\n")]), Some(Detour::Wait)));
        assert!(matches!(detour(&asked(), &[error("-CLUSTERDOWN The cluster is down\r\n")]), Some(Detour::Down)));
        assert!(detour(&asked(), &[error("-MOVED\r\n")]).is_none());
        assert!(detour(&asked(), &[error("-ERR MOVED 1 h:2\r\n"), Value::Nil]).is_none());
    }

    #[test]
    fn refusals_have_the_status_that_says_what_to_do() {
        for (line, status) in [
            ("-OOM command not allowed\r\n", Status::NoSpace),
            ("-READONLY You can't write\r\n", Status::ReadOnly),
            ("-WRONGTYPE Operation\r\n", Status::Unsupported),
            ("-NOAUTH Authentication required.\r\n", Status::InvalidArgument),
            ("-MISCONF Redis is configured\r\n", Status::Io),
            ("-ERR unknown\r\n", Status::Io),
            ("-MOVED 1 h:2\r\n", Status::Unsupported),
        ] {
            let Err(refused) = only(&asked(), vec![error(line)]) else { panic!("{line}") };
            assert_eq!(refused.status(), status, "{line}");
            assert!(refused.message().contains("near:1"), "{}", refused.message());
        }
    }
}
