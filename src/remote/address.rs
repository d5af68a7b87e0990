//! Where a server is and who asks it: what a location with a scheme says.
//!
//! ```text
//! unix:/run/larder.sock
//! redis://[[user]:password@]host[:port][/0]
//! redis+cluster://[[user]:password@]host[:port][,host[:port]]*
//! ```
//!
//! User and password may be written with `%xx`. An address of IPv6 stands in brackets. The port is 6379 if none is
//! given.
//!
//! Invariants:
//!   A1. No error quotes what stands before the last `@`: it may be a password.

use crate::error::{Error, Result, Status};
use crate::options::Options;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

const PORT: u16 = 6379;

/// Where one server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// A socket in the file system.
    Unix(PathBuf),
    /// A port of a host.
    Tcp {
        /// Name or address, an address of IPv6 without brackets.
        host: String,
        /// Its port.
        port: u16,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
            Place::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Place::Tcp { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

/// Who asks. Nothing shows it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    /// The server's default user if there is none.
    pub(super) user: Option<String>,
    pub(super) password: String,
}

/// What a location says.
pub(super) struct Address {
    /// One, or some of a cluster's nodes.
    pub(super) places: Vec<Place>,
    pub(super) is_cluster: bool,
    pub(super) credentials: Option<Credentials>,
}

impl Address {
    /// Takes a location apart. What it says of user and password goes before what the options say.
    pub(super) fn parse(location: &[u8], options: &Options) -> Result<Self> {
        let chosen = Credentials::chosen(options)?;
        if let Some(path) = location.strip_prefix(b"unix:") {
            if path.is_empty() {
                return Err(invalid("unix: names no socket; write unix:/run/larder.sock".into()));
            }
            let places = vec![Place::Unix(PathBuf::from(OsStr::from_bytes(path)))];
            return Ok(Self { places, is_cluster: false, credentials: chosen });
        }
        let text = std::str::from_utf8(location).map_err(|_| invalid("a location with a host is UTF-8".into()))?;
        let (rest, is_cluster) = match (text.strip_prefix("redis://"), text.strip_prefix("redis+cluster://")) {
            (Some(rest), _) => (rest, false),
            (None, Some(rest)) => (rest, true),
            (None, None) => return Err(invalid("a location of this scheme goes on with \"//\" and a host".into())),
        };
        let (named, hosts) = rest.rsplit_once('@').map_or((None, rest), |(named, hosts)| (Some(named), hosts));
        let credentials = match named {
            Some(named) => Some(Credentials::parse(named)?),
            None => chosen,
        };
        let (hosts, database) = hosts.split_once('/').unwrap_or((hosts, ""));
        if !matches!(database, "" | "0") {
            return Err(Error::new(Status::Unsupported, format!("database {database}: only 0 can be opened")));
        }
        let places = hosts.split(',').map(place).collect::<Result<Vec<_>>>()?;
        if places.len() > 1 && !is_cluster {
            return Err(invalid("redis: names one host; several are redis+cluster:".into()));
        }
        Ok(Self { places, is_cluster, credentials })
    }
}

impl Credentials {
    fn chosen(options: &Options) -> Result<Option<Self>> {
        match (options.user.as_str(), options.password.0.as_str()) {
            ("", "") => Ok(None),
            (_, "") => Err(invalid("option user is set, but password is not".into())),
            (user, password) => {
                Ok(Some(Self { user: (!user.is_empty()).then(|| user.to_owned()), password: password.to_owned() }))
            }
        }
    }

    fn parse(named: &str) -> Result<Self> {
        let (user, password) = named
            .split_once(':')
            .ok_or_else(|| invalid("before the \"@\" stands user:password or :password".into()))?;
        let user = unescaped(user)?;
        Ok(Self { user: (!user.is_empty()).then_some(user), password: unescaped(password)? })
    }
}

fn place(text: &str) -> Result<Place> {
    let malformed = || invalid(format!("\"{}\" is not host or host:port", shown(text)));
    let (host, port) = match text.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or_else(malformed)?)),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        None => PORT,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port != 0).ok_or_else(malformed)?
        }
        Some(_) => return Err(malformed()),
    };
    if host.is_empty() { Err(malformed()) } else { Ok(Place::Tcp { host: host.to_owned(), port }) }
}

/// `%xx` as the byte that it stands for (RFC 3986, 2.1).
fn unescaped(text: &str) -> Result<String> {
    let malformed = || invalid("user or password has a \"%\" that no two hexadecimal digits follow".into());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, behind) = behind.split_at_checked(2).ok_or_else(malformed)?;
        let digits = std::str::from_utf8(digits).map_err(|_| malformed())?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(malformed());
        }
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| malformed())?);
        rest = behind;
    }
    String::from_utf8(bytes).map_err(|_| invalid("user and password are UTF-8".into()))
}

/// So much of it that a message always fits.
fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

fn invalid(message: String) -> Error {
    Error::new(Status::InvalidArgument, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(location: &str) -> Result<Address> {
        Address::parse(location.as_bytes(), &Options::default())
    }

    fn tcp(host: &str, port: u16) -> Place {
        Place::Tcp { host: host.into(), port }
    }

    #[test]
    fn locations_name_places_and_users() {
        let address = parsed("unix:/run/larder.sock").unwrap();
        assert_eq!(address.places, [Place::Unix("/run/larder.sock".into())]);
        assert!(address.credentials.is_none() && !address.is_cluster);
        for (location, place) in [
            ("redis://host", tcp("host", 6379)),
            ("redis://host:1", tcp("host", 1)),
            ("redis://host:65535/", tcp("host", 65535)),
            ("redis://host:7/0", tcp("host", 7)),
            ("redis://[::1]", tcp("::1", 6379)),
            ("redis://[::1]:7/0", tcp("::1", 7)),
        ] {
            assert_eq!(parsed(location).unwrap().places, [place], "{location}");
        }
        let address = parsed("redis+cluster://ann:p%40ss%3a@a:1,b,[::2]:3").unwrap();
        assert_eq!(address.places, [tcp("a", 1), tcp("b", 6379), tcp("::2", 3)]);
        let credentials = address.credentials.unwrap();
        assert_eq!((credentials.user.as_deref(), credentials.password.as_str()), (Some("ann"), "p@ss:"));
        let credentials = parsed("redis://:p@w/d@h").unwrap().credentials.unwrap();
        assert_eq!((credentials.user, credentials.password.as_str()), (None, "p@w/d"));
    }

    #[test]
    fn options_name_the_user_of_a_socket() {
        let mut options = Options::default();
        options.set("password", "sesame").unwrap();
        let credentials = Address::parse(b"unix:x", &options).unwrap().credentials.unwrap();
        assert_eq!((credentials.user, credentials.password.as_str()), (None, "sesame"));
        let named = Address::parse(b"redis://u:p@h", &options).unwrap().credentials.unwrap();
        assert_eq!((named.user.as_deref(), named.password.as_str()), (Some("u"), "p"));
    }

    #[test]
    fn what_is_malformed_is_refused_without_a_word_of_the_password() {
        for location in [
            "unix:",
            "redis:host",
            "redis://",
            "redis://h:",
            "redis://h:0",
            "redis://h:65536",
            "redis://h:+1",
            "redis://[::1",
            "redis://[::1]7",
            "redis://a,b",
            "redis+cluster://a,",
            "redis://sesame@h",
            "redis://u:sesame@",
            "redis://u:sesame@h:x",
            "redis://u:sesame%4@h",
            "redis://u:sesame%+1@h",
        ] {
            let error = parsed(location).err().unwrap_or_else(|| panic!("{location} was taken"));
            assert_eq!(error.status(), Status::InvalidArgument, "{location}");
            assert!(!error.message().contains("sesame"), "{}", error.message());
        }
        assert_eq!(parsed("redis://u:sesame@h/1").err().map(|error| error.status()), Some(Status::Unsupported));
    }

    #[test]
    fn places_are_shown_as_they_are_written() {
        for text in ["unix:/run/x", "host:1", "[::1]:2"] {
            let place = if let Some(path) = text.strip_prefix("unix:") {
                Place::Unix(path.into())
            } else {
                place(text).unwrap()
            };
            assert_eq!(place.to_string(), text);
        }
    }
}
