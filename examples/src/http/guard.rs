//! [`Guard`], which refuses requests that were caused by a page of another site.
//!
//! Depends on the headers of the request alone. A service on the loopback interface trusts every program of
//! the machine, and a browser is one of them. A foreign page can make its own host name resolve to 127.0.0.1
//! and read responses, so the Host header is checked on every route. It can also submit a form, so requests
//! that change something must not come from another site.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{HOST, HeaderMap, ORIGIN};
use axum::http::{Method, StatusCode, Uri, Version};

use super::error_response::ErrorResponse;

/// The check of requests for a service that listens on one address.
#[derive(Clone, Debug)]
pub struct Guard {
    listen: IpAddr,
}

impl Guard {
    /// The check for a service bound to `listen`.
    pub fn new(listen: SocketAddr) -> Guard {
        Guard { listen: listen.ip() }
    }

    /// Refuses a request that a page of another site has or may have caused.
    pub fn check(
        &self,
        method: &Method,
        uri: &Uri,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<(), ErrorResponse> {
        let host = host(uri, version, headers)?;
        if let Some(host) = &host
            && !self.is_ours(host)
        {
            let shown: String = host.chars().take(100).collect();
            return Err(ErrorResponse::new(
                StatusCode::MISDIRECTED_REQUEST,
                format!("`{shown}` is not a name of this service"),
            )
            .help("it listens on this machine only: use localhost or 127.0.0.1"));
        }
        if !method.is_safe() && is_cross_site(host.as_deref().unwrap_or_default(), headers) {
            return Err(ErrorResponse::new(
                StatusCode::FORBIDDEN,
                "a page of another site cannot change anything here",
            )
            .help("call the service from a program, or from one of its own pages"));
        }
        Ok(())
    }

    fn is_ours(&self, host: &str) -> bool {
        // On any other address the service is open to the network by choice, under host names that are
        // unknown here.
        if !self.listen.is_loopback() {
            return true;
        }
        let name = without_port(host);
        name.eq_ignore_ascii_case("localhost")
            || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback() || ip == self.listen)
    }
}

/// The host that the request names; an error unless it is exactly one.
///
/// Only HTTP/1.0 has requests without a host: those of health checks and of old programs. No browser sends
/// HTTP/1.0, so no page of another site causes one.
fn host(uri: &Uri, version: Version, headers: &HeaderMap) -> Result<Option<String>, ErrorResponse> {
    let bad = |error: &str| ErrorResponse::new(StatusCode::BAD_REQUEST, error);
    let mut named = headers.get_all(HOST).iter();
    let host = match named.next() {
        Some(host) => host,
        None if version < Version::HTTP_11 => return Ok(uri.authority().map(ToString::to_string)),
        None => return Err(bad("the request has no Host header")),
    };
    if named.next().is_some() {
        return Err(bad("the request has more than one Host header"));
    }
    let host = host.to_str().map_err(|_| bad("the Host header is not text"))?;
    if uri.authority().is_some_and(|authority| authority.as_str() != host) {
        return Err(bad("the request names two hosts"));
    }
    Ok(Some(host.to_owned()))
}

/// The name without brackets and port: of `localhost:5004`, `127.0.0.1`, `[::1]:5004`.
fn without_port(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

/// Whether the browser reports that another site caused the request. Programs send no such header and are
/// accepted.
fn is_cross_site(host: &str, headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return !(site == "same-origin" || site == "none");
    }
    match headers.get(ORIGIN) {
        None => false,
        Some(origin) => {
            let origin = origin.to_str().unwrap_or_default();
            let name = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            name.is_none_or(|name| !name.eq_ignore_ascii_case(host))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(listen: &str, method: Method, headers: &[(&str, &str)]) -> u16 {
        status_of(listen, method, "/jobs", Version::HTTP_11, headers)
    }

    fn status_of(
        listen: &str,
        method: Method,
        uri: &'static str,
        version: Version,
        headers: &[(&str, &str)],
    ) -> u16 {
        let guard = Guard::new(listen.parse().unwrap());
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(axum::http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        let checked = guard.check(&method, &Uri::from_static(uri), version, &map);
        checked.err().map_or(200, |error| error.status().as_u16())
    }

    #[test]
    fn on_the_loopback_interface_only_its_own_names_are_accepted() {
        for host in [
            "localhost",
            "localhost:5004",
            "LOCALHOST:1",
            "127.0.0.1:5004",
            "127.1.2.3",
            "[::1]:5004",
            "[::1]",
        ] {
            assert_eq!(status("127.0.0.1:5004", Method::GET, &[("host", host)]), 200, "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:5004",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil.example@127.0.0.1",
            "localhost.",
            "10.0.0.1",
            "0.0.0.0",
            "",
        ] {
            assert_eq!(status("127.0.0.1:5004", Method::GET, &[("host", host)]), 421, "{host}");
        }
        assert_eq!(status("0.0.0.0:5004", Method::GET, &[("host", "jobs.example")]), 200);
    }

    #[test]
    fn a_request_must_name_exactly_one_host() {
        assert_eq!(status("127.0.0.1:5004", Method::GET, &[]), 400);
        assert_eq!(
            status("127.0.0.1:5004", Method::GET, &[("host", "localhost"), ("host", "evil.example")]),
            400
        );
        let guard = Guard::new("127.0.0.1:5004".parse().unwrap());
        let headers = HeaderMap::from_iter([(HOST, "localhost".parse().unwrap())]);
        let uri = Uri::from_static("http://evil.example/jobs");
        assert!(guard.check(&Method::GET, &uri, Version::HTTP_11, &headers).is_err());
    }

    #[test]
    fn only_a_request_by_http_1_0_may_name_no_host() {
        let old = |method: Method, uri: &'static str, headers: &[(&str, &str)]| {
            status_of("127.0.0.1:5004", method, uri, Version::HTTP_10, headers)
        };
        assert_eq!(old(Method::GET, "/health", &[]), 200);
        assert_eq!(old(Method::POST, "/jobs", &[]), 200);
        assert_eq!(old(Method::GET, "http://localhost/health", &[]), 200);
        // A host that is named is checked as in HTTP/1.1.
        assert_eq!(old(Method::GET, "/health", &[("host", "evil.example")]), 421);
        assert_eq!(old(Method::GET, "http://evil.example/health", &[]), 421);
        assert_eq!(old(Method::GET, "/", &[("host", "localhost"), ("host", "localhost")]), 400);
        assert_eq!(old(Method::POST, "/jobs", &[("origin", "http://evil.example")]), 403);
        assert_eq!(old(Method::POST, "/jobs", &[("origin", "null")]), 403);
        assert_eq!(old(Method::POST, "/jobs", &[("sec-fetch-site", "cross-site")]), 403);
    }

    #[test]
    fn a_request_that_changes_something_is_refused_from_another_site() {
        let post = |headers: &[(&str, &str)]| {
            let mut all = vec![("host", "localhost:5004")];
            all.extend(headers);
            status("127.0.0.1:5004", Method::POST, &all)
        };
        assert_eq!(post(&[]), 200);
        assert_eq!(post(&[("sec-fetch-site", "same-origin")]), 200);
        assert_eq!(post(&[("sec-fetch-site", "none")]), 200);
        assert_eq!(post(&[("origin", "http://localhost:5004")]), 200);
        assert_eq!(post(&[("sec-fetch-site", "cross-site")]), 403);
        assert_eq!(post(&[("sec-fetch-site", "same-site")]), 403);
        assert_eq!(post(&[("sec-fetch-site", "cross-site"), ("origin", "http://localhost:5004")]), 403);
        assert_eq!(post(&[("origin", "http://localhost:3000")]), 403);
        assert_eq!(post(&[("origin", "https://evil.example")]), 403);
        assert_eq!(post(&[("origin", "null")]), 403);
        let get = [("host", "localhost:5004"), ("sec-fetch-site", "cross-site")];
        assert_eq!(status("127.0.0.1:5004", Method::GET, &get), 200);
    }
}
