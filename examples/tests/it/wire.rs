//! Tests of the service with requests as bytes: HTTP/1.0, half-closed connections, pipelines, slow bodies.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use serde_json::{Value, json};

use crate::service::Service;

/// A response as it is on the wire.
struct Response {
    /// `HTTP/1.1 200 OK`, for example.
    status: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Response {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Reads one response. The body has the stated length; a response to HEAD has none.
fn read(line: &mut TcpStream, has_body: bool) -> Response {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(line.read(&mut byte).unwrap(), 1, "closed after {:?}", String::from_utf8_lossy(&head));
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let status = lines.next().unwrap().to_owned();
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut response = Response { status, headers, body: String::new() };
    let length = response.header("content-length").map_or(0, |length| length.parse().unwrap());
    if has_body {
        let mut body = vec![0; length];
        line.read_exact(&mut body).unwrap();
        response.body = String::from_utf8(body).unwrap();
    }
    response
}

/// Asserts that the service closes the connection and sends nothing more.
fn closed(mut line: TcpStream) {
    let mut rest = Vec::new();
    line.read_to_end(&mut rest).unwrap();
    assert_eq!(String::from_utf8_lossy(&rest), "");
}

/// The request that creates a job which is due in a year.
fn post(version: &str, headers: &str) -> String {
    let params = json!({"to": "user@example.com", "subject": "Test", "body": "Hello World"});
    let body = json!({"task": "send_email", "params": params, "delay": 31_536_000}).to_string();
    let length = body.len();
    format!(
        "POST /jobs {version}\r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

#[test]
fn a_client_that_closes_its_side_after_the_request_gets_the_response() {
    let service = Service::start("wire-half");
    for (id, request) in [(1, post("HTTP/1.1", "Host: localhost\r\n")), (2, post("HTTP/1.0", ""))] {
        let mut line = service.open(&request);
        line.shutdown(Shutdown::Write).unwrap();
        let response = read(&mut line, true);
        assert!(response.status.ends_with("201 Created"), "{}", response.status);
        assert_eq!(response.json()["id"], id);
        closed(line);
    }
    // The requests of a pipeline are all answered.
    let mut line = service.open(&"GET /jobs/1 HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(3));
    line.shutdown(Shutdown::Write).unwrap();
    for _ in 0..3 {
        assert_eq!(read(&mut line, true).json()["id"], 1);
    }
    closed(line);
    // A request that ends in the middle is not a request.
    for part in [
        "POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{",
        "GET /jobs",
    ] {
        let mut line = service.open(part);
        line.shutdown(Shutdown::Write).unwrap();
        let mut answer = String::new();
        line.read_to_string(&mut answer).unwrap();
        assert!(!answer.starts_with("HTTP/1.1 2"), "{answer}");
    }
    assert_eq!(service.get("/jobs").body().matches("\"id\":").count(), 2);
}

#[test]
fn a_request_by_http_1_0_needs_no_host() {
    let service = Service::start("wire-old");
    let mut line = service.open("GET /health HTTP/1.0\r\n\r\n");
    let response = read(&mut line, true);
    assert!(response.status.ends_with("200 OK"), "{}", response.status);
    assert_eq!(response.json()["state"], "ok");
    closed(line);

    let mut line = service.open(&post("HTTP/1.0", ""));
    assert!(read(&mut line, true).status.ends_with("201 Created"));
    closed(line);

    // With keep-alive, the connection is used again.
    let get = "GET /jobs/1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let mut line = service.open("");
    for _ in 0..3 {
        line.write_all(get.as_bytes()).unwrap();
        let response = read(&mut line, true);
        assert_eq!(response.json()["id"], 1);
        assert_eq!(response.header("connection"), Some("keep-alive"));
        assert_eq!(response.header("transfer-encoding"), None);
    }
    // The host is still checked if there is one.
    let foreign = service.raw("GET /health HTTP/1.0\r\nHost: evil.example\r\n\r\n");
    assert!(foreign.contains(" 421 "), "{foreign}");
    let foreign = service.raw(&post("HTTP/1.0", "Origin: http://evil.example\r\n"));
    assert!(foreign.contains(" 403 "), "{foreign}");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let service = Service::start("wire-pipeline");
    let mut line = service.open(&post("HTTP/1.1", "Host: localhost\r\n").repeat(3));
    for id in 1..=3 {
        assert_eq!(read(&mut line, true).json()["id"], id);
    }
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    line.write_all((get("/jobs/2") + &get("/jobs/9") + &get("/jobs/1")).as_bytes()).unwrap();
    assert_eq!(read(&mut line, true).json()["id"], 2);
    assert!(read(&mut line, true).status.contains(" 404 "));
    assert_eq!(read(&mut line, true).json()["id"], 1);
}

#[test]
fn a_client_that_expects_100_continue_gets_it_before_it_sends_the_body() {
    let service = Service::start("wire-expect");
    let request = post("HTTP/1.1", "Host: localhost\r\nExpect: 100-continue\r\n");
    let (head, body) = request.split_at(request.find("\r\n\r\n").unwrap() + 4);
    let mut line = service.open(head);
    assert_eq!(read(&mut line, false).status, "HTTP/1.1 100 Continue");
    line.write_all(body.as_bytes()).unwrap();
    assert_eq!(read(&mut line, true).json()["id"], 1);

    // A request that is refused by its headers is refused before its body.
    let mut line = service.open(&head.replace("application/json", "text/plain"));
    assert!(read(&mut line, true).status.contains(" 415 "));
}

#[test]
fn a_body_that_arrives_slowly_or_in_chunks_is_read() {
    let service = Service::start("wire-slow");
    let request = post("HTTP/1.1", "Host: localhost\r\n");
    let mut line = service.open("");
    line.set_nodelay(true).unwrap();
    for byte in request.bytes() {
        line.write_all(&[byte]).unwrap();
    }
    assert_eq!(read(&mut line, true).json()["id"], 1);

    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let length = head.rfind("Content-Length").unwrap();
    let mut line = service.open(&format!("{}Transfer-Encoding: chunked\r\n\r\n", &head[..length]));
    for part in body.as_bytes().chunks(7) {
        write!(line, "{:x}\r\n{}\r\n", part.len(), std::str::from_utf8(part).unwrap()).unwrap();
    }
    line.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(read(&mut line, true).json()["id"], 2);
}

#[test]
fn the_response_to_head_is_that_to_get_without_its_body() {
    let service = Service::start("wire-head");
    service.raw(&post("HTTP/1.1", "Host: localhost\r\nConnection: close\r\n"));
    let mut line = service.open("");
    for path in ["/", "/jobs", "/jobs/1", "/jobs/9", "/health", "/nowhere", "/style.css"] {
        let mut ask = |method: &str| {
            write!(line, "{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            read(&mut line, method == "GET")
        };
        let (head, get) = (ask("HEAD"), ask("GET"));
        assert_eq!(head.status, get.status, "{path}");
        for name in ["content-type", "content-length", "cache-control", "x-content-type-options"] {
            assert_eq!(head.header(name), get.header(name), "{path}: {name}");
        }
    }
}
