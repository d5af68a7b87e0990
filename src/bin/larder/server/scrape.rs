//! Scrapes: somebody asks for the metrics over HTTP, gets them, and the connection is closed.
//!
//! As little of HTTP/1.1 as that needs: a request line and headers up to an empty line; a body is not read. It is not a
//! client of the store, and does not count as one.
//!
//! Invariants: a scrape holds at most [`REQUEST_BYTES_MAX`] of what it was sent; it ends after [`TIME_MAX`]; there are at
//! most [`SCRAPES_MAX`] at a time.

use super::Server;
use super::connection::Left;
use super::metrics;
use mio::net::TcpStream;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

const REQUEST_BYTES_MAX: usize = 8 << 10;
pub const TIME_MAX: Duration = Duration::from_secs(10);
pub const SCRAPES_MAX: usize = 16;

/// One connection.
pub struct Scrape {
    pub stream: TcpStream,
    pub opened_at: Instant,
    request: Vec<u8>,
    answer: Option<Vec<u8>>,
    sent: usize,
}

impl Scrape {
    pub fn new(stream: TcpStream, now: Instant) -> Self {
        Self { stream, opened_at: now, request: Vec::new(), answer: None, sent: 0 }
    }

    /// Goes as far as the socket lets it.
    pub fn step(&mut self, server: &Server) -> Left {
        if self.answer.is_none() {
            match self.read() {
                Ok(false) => return Left::Open,
                Ok(true) => self.answer = Some(answer(&self.request, server)),
                Err(_) => return Left::Closed,
            }
        }
        let answer = self.answer.as_deref().unwrap_or_default();
        while self.sent < answer.len() {
            match self.stream.write(&answer[self.sent..]) {
                Ok(0) => return Left::Closed,
                Ok(len) => self.sent += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Left::Open,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Left::Closed,
            }
        }
        Left::Closed
    }

    /// True if the request is whole, or longer than any that could be one.
    fn read(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 1024];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(len) => self.request.extend_from_slice(&bytes[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.request.windows(4).any(|end| end == b"\r\n\r\n") || self.request.len() > REQUEST_BYTES_MAX {
                return Ok(true);
            }
        }
    }
}

fn answer(request: &[u8], server: &Server) -> Vec<u8> {
    let line = request.split(|b| *b == b'\r').next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split(|b| *b == b'?').next().unwrap_or_default();
    let is_http = words.next().is_some_and(|version| version.starts_with(b"HTTP/1."));
    let (status, body) = match (is_http, request.len() > REQUEST_BYTES_MAX, method, path) {
        (false, ..) | (_, true, ..) => ("400 Bad Request", "no request that this can answer\n".to_owned()),
        (_, _, b"GET" | b"HEAD", b"/metrics") => match metrics::text(server) {
            Ok(text) => ("200 OK", text),
            Err(error) => ("500 Internal Server Error", format!("{error}\n")),
        },
        (_, _, b"GET" | b"HEAD", _) => ("404 Not Found", "there is /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "GET\n".to_owned()),
    };
    let kind = if status.starts_with('2') { "text/plain; version=0.0.4; charset=utf-8" } else { "text/plain" };
    let len = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n");
    let body = if method == b"HEAD" { "" } else { &body };
    [head.as_bytes(), body.as_bytes()].concat()
}
