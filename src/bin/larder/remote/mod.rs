//! Servers that speak the Redis protocol, from the client's side: keys are read from one (`source`), or sent to one or to
//! a cluster of them (`sender`, `cluster`). The crate `redis` holds the connections.
//!
//! Not here: where keys come from and go to (`push`).
//!
//! Invariant: every wait has an end. A server that says nothing for the time limit is a failure with a sentence.

mod cluster;
mod link;
mod security;
pub mod sender;
pub mod source;

pub use security::Security;

use crate::failure::Failure;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};
use std::path::{Path, PathBuf};

/// Each with the scheme of its nodes.
const CLUSTER_SCHEMES: [(&str, &str); 2] = [("redis+cluster://", "redis://"), ("rediss+cluster://", "rediss://")];
const UNIX_SCHEME: &str = "unix:";

/// A server, or a cluster by some of its nodes.
#[derive(Clone, Debug)]
pub enum Address {
    Server(Box<ConnectionInfo>),
    Cluster(Vec<ConnectionInfo>),
}

impl Address {
    /// `redis://[user:password@]host:port[/database]`, `unix:/path`, or `redis+cluster://[user:password@]host:port,…`; over
    /// TLS with `rediss` for `redis`.
    pub fn parse(text: &str, password_file: Option<&Path>, security: Security<'_>) -> Result<Self, Failure> {
        let password = password_file.map(read_password).transpose()?;
        let finish = |info: ConnectionInfo| match &password {
            Some(password) => {
                let settings = info.redis_settings().clone().set_password(password);
                security.apply(info.set_redis_settings(settings))
            }
            None => security.apply(info),
        };
        if let Some(path) = text.strip_prefix(UNIX_SCHEME).filter(|path| !path.is_empty() && !path.starts_with("//")) {
            let info = ConnectionAddr::Unix(PathBuf::from(path)).into_connection_info().map_err(|_| unusable(text))?;
            return Ok(Address::Server(Box::new(finish(info)?)));
        }
        let cluster = CLUSTER_SCHEMES.iter().find_map(|(scheme, of_node)| Some((text.strip_prefix(scheme)?, of_node)));
        if let Some((nodes, of_node)) = cluster {
            let (user, nodes) =
                nodes.rsplit_once('@').map_or((String::new(), nodes), |(user, nodes)| (format!("{user}@"), nodes));
            let infos =
                nodes.split(',').map(|node| parse_url(&format!("{of_node}{user}{node}"), text).and_then(&finish));
            return Ok(Address::Cluster(infos.collect::<Result<_, _>>()?));
        }
        Ok(Address::Server(Box::new(finish(parse_url(text, text)?)?)))
    }
}

fn parse_url(url: &str, whole: &str) -> Result<ConnectionInfo, Failure> {
    url.into_connection_info().map_err(|_| unusable(whole))
}

/// The address itself stays unsaid: it may have a password in it.
fn unusable(text: &str) -> Failure {
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    let scheme: String = scheme.chars().take(20).filter(char::is_ascii_graphic).collect();
    Failure::usage(format!(
        "an address ({scheme}:…) that is none of redis://host:port, redis+cluster://host:port,host:port (rediss… for TLS) and unix:/path"
    ))
}

/// A file's first line.
fn read_password(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::io(path.display(), &error))?;
    match text.lines().next() {
        Some(password) if !password.is_empty() => Ok(password.to_owned()),
        _ => Err(Failure::usage(format!("{}: there is no password on its first line", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        shown_with(text, Security::default())
    }

    fn shown_with(text: &str, security: Security<'_>) -> String {
        let show = |info: &ConnectionInfo| {
            let settings = info.redis_settings();
            let tls = if matches!(info.addr(), ConnectionAddr::TcpTls { .. }) { " TLS" } else { "" };
            format!("{} {:?} {:?} {}{tls}", info.addr(), settings.username(), settings.password(), settings.db())
        };
        match Address::parse(text, None, security) {
            Ok(Address::Server(info)) => show(&info),
            Ok(Address::Cluster(infos)) => infos.iter().map(show).collect::<Vec<_>>().join("; "),
            Err(failure) => failure.sentence.unwrap(),
        }
    }

    #[test]
    fn addresses_of_every_kind_are_taken() {
        assert_eq!(shown("redis://localhost:7000"), "localhost:7000 None None 0");
        assert_eq!(shown("redis://anna:se%20cret@[::1]:7000/3"), "::1:7000 Some(\"anna\") Some(\"se cret\") 3");
        assert_eq!(shown("unix:/run/r.sock"), "/run/r.sock None None 0");
        assert_eq!(shown("unix:///run/r.sock?pass=x"), "/run/r.sock None Some(\"x\") 0");
        assert_eq!(
            shown("redis+cluster://:x@10.0.0.1:7000,10.0.0.2:7001"),
            "10.0.0.1:7000 None Some(\"x\") 0; 10.0.0.2:7001 None Some(\"x\") 0"
        );
    }

    #[test]
    fn other_addresses_are_refused_without_being_shown() {
        for text in
            ["", "localhost:6379", "http://x:secret@localhost", "redis://:secret@", "redis+cluster://:secret@", "unix:"]
        {
            let sentence = shown(text);
            assert!(sentence.contains("none of redis://") && !sentence.contains("secret"), "{text}: {sentence}");
        }
    }

    #[test]
    fn tls_is_asked_for_by_the_address_or_beside_it_and_never_given_up() {
        let asked = Security { is_asked_for: true, ..Security::default() };
        assert_eq!(shown("rediss://:x@localhost:7000/1"), "localhost:7000 None Some(\"x\") 1 TLS");
        assert_eq!(shown_with("redis://localhost:7000", asked), "localhost:7000 None None 0 TLS");
        assert_eq!(shown_with("rediss://localhost", asked), "localhost:6379 None None 0 TLS");
        let both = "a:1 None None 0 TLS; b:2 None None 0 TLS";
        assert_eq!(shown("rediss+cluster://a:1,b:2"), both);
        assert_eq!(shown_with("redis+cluster://a:1,b:2", asked), both);
        assert!(shown_with("unix:/run/r.sock", asked).contains("a Unix socket needs none"));
        assert!(shown("rediss://localhost/#insecure").contains("always looked at"));
        let file = PathBuf::from("/no such file");
        for security in
            [Security { ca: Some(&file), ..Security::default() }, Security { own: Some((&file, &file)), ..asked }]
        {
            assert!(shown_with("redis://localhost", security).contains("/no such file"));
        }
    }
}
