//! One connection: packed commands out, replies in, each with a time limit.

use super::security::host_and_port;
use crate::failure::{Exit, Failure};
use redis::{Client, Cmd, Connection, ConnectionInfo, RedisError, Value};
use std::time::Duration;

const HURRIED: Duration = Duration::from_millis(100);

pub struct Link {
    connection: Connection,
    /// For sentences: where it leads, without what proves who we are.
    pub name: String,
    /// For replies that name a node without its host.
    pub host: String,
    time_max: Duration,
}

impl Link {
    pub fn open(info: &ConnectionInfo, time_max: Duration) -> Result<Self, Failure> {
        let name = info.addr().to_string();
        let host = host_and_port(info.addr()).0.to_owned();
        let opened = Client::open(info.clone()).and_then(|client| client.get_connection_with_timeout(time_max));
        let connection = opened.map_err(|error| failure(&name, &error, time_max, "cannot connect"))?;
        let link = Self { connection, name, host, time_max };
        for set in [Connection::set_read_timeout, Connection::set_write_timeout] {
            set(&link.connection, Some(time_max)).map_err(|error| link.lost(&error))?;
        }
        Ok(link)
    }

    pub fn send(&mut self, packed: &[u8]) -> Result<(), Failure> {
        self.connection.send_packed_command(packed).map_err(|error| self.lost(&error))
    }

    /// The next reply; an error that the server answers is one, too.
    pub fn receive(&mut self) -> Result<Value, Failure> {
        self.connection.recv_response().map_err(|error| self.lost(&error))
    }

    /// From now on only what is there already is waited for.
    pub fn hurry(&mut self) {
        // A link that cannot be told so is lost, and says so at once.
        let _ = self.connection.set_read_timeout(Some(HURRIED));
    }

    /// One command and its reply, for what is asked now and then.
    pub fn ask(&mut self, command: &Cmd) -> Result<Value, Failure> {
        self.send(&command.get_packed_command())?;
        self.receive()
    }

    /// A reply that makes no sense here.
    pub fn unexpected(&self, what: &str, reply: &Value) -> Failure {
        let shown: String = match reply {
            Value::ServerError(error) => format!("{} {}", error.code(), error.details().unwrap_or_default()),
            other => format!("{other:?}"),
        };
        let shown: String = shown.chars().take(200).collect();
        Failure::new(Exit::Io, format!("{}: {what} was answered with: {shown}", self.name))
    }

    fn lost(&self, error: &RedisError) -> Failure {
        failure(&self.name, error, self.time_max, "the connection was lost")
    }
}

fn failure(name: &str, error: &RedisError, time_max: Duration, what: &str) -> Failure {
    let why = if error.is_timeout() { format!("no answer for {} s", time_max.as_secs()) } else { error.to_string() };
    Failure::new(Exit::Io, format!("{name}: {what}: {why}"))
}
